"""The Kafka transport over kafka-python."""
