"""How well, measured on labelled series."""
