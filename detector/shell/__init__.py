"""The shell: Kafka and file transports, the tick, signals, HTTP. It acts on what the core returns."""
