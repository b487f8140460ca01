"""A local Apache Kafka as a program, for the demo, the tests and the benchmarks."""
