"""The seam between the loop and the outside: Kafka is one transport, files of JSON lines are the other.

One contract suite (tests/contract) runs over both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from detector.core.rows import Record


class Stream(StrEnum):
    """Where a message goes; the names of schemas.config.Topics."""

    ALERTS = "alerts"
    SCORES = "scores"
    DEAD_LETTERS = "dead_letters"
    CONTROL = "control"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send. partition: only state says it, so that it lies beside the partition it stands for."""

    stream: Stream
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll gave. A newly assigned partition's records wait until its state is restored."""

    records: Sequence[Record] = ()
    assigned: frozenset[int] = frozenset()
    revoked: frozenset[int] = frozenset()
    ended: bool = False  # a file that is not followed has no more


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A control message as it came, and where it came from."""

    value: bytes
    origin: str


class Transport(Protocol):
    """What the loop asks of the outside. Every method is called from one thread; faults are BrokerErrors."""

    @property
    def topic(self) -> str:
        """The input's name, as records and incident ids carry it."""
        ...

    def poll(self, timeout_s: float, most: int) -> Polled:
        """Waits up to timeout_s for records."""
        ...

    def restore(self, partition: int) -> Mapping[bytes, bytes]:
        """The newest checkpoint entries of a partition, by key. Blocks until they are read."""
        ...

    def resume(self, partition: int, offset: int | None) -> None:
        """Begins a newly assigned partition at an offset; None: at the committed one, or where the start says."""
        ...

    def send(self, message: Message) -> None:
        """Hands a message over; may block while too many are outstanding."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Blocks until everything sent is confirmed. Raises BrokerError when it is not."""
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Marks partition -> next offset as done. Blocks."""
        ...

    def control(self) -> list[ControlRecord]:
        """Control messages that came since the last call; never blocks for long."""
        ...

    def close(self, timeout_s: float) -> None:
        """Leaves; sends nothing more."""
        ...
