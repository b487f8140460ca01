"""Measuring watchkeeper against a real Apache Kafka: commands that print figures, their aims, and who met them."""
