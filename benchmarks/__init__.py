"""Measuring watchkeeper against a real Apache Kafka: commands that print figures, their aims, and who met them."""

import detector  # noqa: F401  # before onnxruntime: see there
