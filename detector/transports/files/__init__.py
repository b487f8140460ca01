"""The embedded transport: JSON lines in, JSON lines out (see package.TransportPackage)."""

from detector.transports.files.preflight import admin, preflight
from detector.transports.files.topics import consume_control, locate, read_span, read_topic, send
from detector.transports.files.transport import FileTransport
from detector.transports.interface import Transport
from detector.transports.package import Clock
from schemas.config import Settings

__all__ = [
    "admin", "clock", "consume_control", "locate", "open_transport", "preflight", "read_span", "read_topic",
    "record_times", "send",
]  # fmt: skip

clock: Clock = "feed"  # a file is mostly a recording, read faster than it was written
record_times = False


def open_transport(settings: Settings) -> Transport:
    """The loop's transport."""
    return FileTransport(settings)
