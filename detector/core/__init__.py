"""The core: decode, window, score, verdict, incident, drift. No Kafka, no clock, no disk, no threads."""
