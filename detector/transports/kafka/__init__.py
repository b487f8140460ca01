"""Apache Kafka, through kafka-python (see package.TransportPackage)."""

from detector.transports.interface import Transport
from detector.transports.kafka.control import consume_control, send
from detector.transports.kafka.preflight import preflight
from detector.transports.kafka.reading import locate, read_span, read_topic
from detector.transports.kafka.topics import admin
from detector.transports.kafka.transport import KafkaTransport
from detector.transports.package import Clock
from schemas.config import Settings

__all__ = [
    "admin", "clock", "consume_control", "locate", "open_transport", "preflight", "read_span", "read_topic",
    "record_times", "send",
]  # fmt: skip

clock: Clock = "wall"
record_times = True


def open_transport(settings: Settings) -> Transport:
    """The loop's transport."""
    return KafkaTransport(settings)
