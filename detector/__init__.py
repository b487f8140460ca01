"""The watchkeeper daemon: a core without I/O (detector.core) and a thin shell around it. Never imports torch."""
