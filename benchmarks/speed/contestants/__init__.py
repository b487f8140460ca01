"""The loops that the daemon is measured against, each run as a process of its own."""
