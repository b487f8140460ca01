"""The life of the daemon: start, tick, reload, drain; health, metrics and logs beside it."""
