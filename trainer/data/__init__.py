"""History, whatever it is read from: tables, records, a span of a topic."""
