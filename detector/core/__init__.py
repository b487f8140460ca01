"""The core: decode, screen, quality, window, score, incident, drift. No Kafka, no clock, no disk, no threads."""
