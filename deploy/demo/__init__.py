"""A real Apache Kafka for the demo, the tests and the benchmark."""
