"""What a transport offers beside the loop's interface: a package with these functions, named in `TRANSPORTS`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from detector.core.ingest.rows import Record
from detector.transports.interface import ControlRecord, Stream, Transport
from schemas.config import Settings

Clock = Literal["wall", "feed"]


class Status(StrEnum):
    """How a result ends; only FAIL makes `watchkeeper check` fail."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at before the daemon runs."""

    status: Status
    subject: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How an existing topic differs. fatal: the daemon would lose state or records by it."""

    problem: str
    remedy: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic that the configuration uses: as it is, or as it would be made."""

    stream: Stream
    name: str
    exists: bool
    created: bool  # just now
    partitions: int
    settings: Mapping[str, str]  # those that the daemon relies on
    mismatches: Sequence[Mismatch] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a topic. Times are the transport's record times, milliseconds; None is the topic's own edge."""

    begin_ms: int | None = None
    end_ms: int | None = None
    begin_offset: int | None = None
    end_offset: int | None = None  # exclusive


class TransportPackage(Protocol):
    """The functions of a transport's package. They raise BrokerError, ConfigError or DataError."""

    clock: Clock
    """By what silence is measured where alarms.silence_clock is auto."""

    record_times: bool
    """Whether records carry a time of the transport's own, by which a span can be cut."""

    def open_transport(self, settings: Settings) -> Transport:
        """The loop's transport. Blocks until it can read."""
        ...

    def locate(self, settings: Settings, topic: str) -> str:
        """Where a topic lies, for a person."""
        ...

    def read_topic(self, settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
        """Messages of one of our topics in the order it holds them, from its beginning; joins no group.

        follow: waits for more at the end, for ever; else it ends where the topic ended when it was opened.
        """
        ...

    def read_span(self, settings: Settings, span: Span) -> Iterator[Sequence[Record]]:
        """A part of the input, in chunks; joins no group. Without record times, times cut nothing."""
        ...

    def send(self, settings: Settings, value: bytes, key: bytes) -> None:
        """Sends one control message and waits for the confirmation."""
        ...

    def consume_control(self, settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
        """Control messages for the trainer's workers, for ever; each goes to one worker.

        It counts as done when the next one is asked for. `idle` is called about twice a second between them.
        """
        ...

    def preflight(self, settings: Settings, wait_s: float) -> Iterator[CheckResult]:
        """What would keep the daemon from reading or writing. Looks only; blocks up to `wait_s` for a broker."""
        ...

    def admin(
        self, settings: Settings, *, create: bool, partitions: int | None, replication: int, wait_s: float
    ) -> list[TopicReport]:
        """The topics that the configuration uses. create: makes those that are missing; existing ones stay as they are.

        partitions None: as many as the input has. replication -1: the broker's own.
        """
        ...
