"""A broker inside the process, for tests and simulations (see package.TransportPackage)."""

from detector.transports.interface import Transport
from detector.transports.memory.topics import (
    admin,
    broker_of,
    consume_control,
    locate,
    preflight,
    read_span,
    read_topic,
    send,
)
from detector.transports.memory.transport import MemoryTransport
from detector.transports.package import Clock
from schemas.config import Settings

__all__ = [
    "admin", "clock", "consume_control", "locate", "open_transport", "preflight", "read_span", "read_topic",
    "record_times", "send",
]  # fmt: skip

clock: Clock = "wall"
record_times = False


def open_transport(settings: Settings) -> Transport:
    """The loop's transport."""
    return MemoryTransport(settings, broker_of(settings))
