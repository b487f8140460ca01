"""The interface between the loop and the outside. One contract suite (tests/contract) runs over every transport."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from detector.core.ingest.rows import Record
from detector.core.state.codec import Owner


class Stream(StrEnum):
    """What a topic is for; the names of schemas.config.Topics."""

    INPUT = "input"
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
class Rebalance:
    """Partitions by what became of them since the last look."""

    assigned: frozenset[int]
    revoked: frozenset[int]  # given up in order: ours until the next poll
    lost: frozenset[int]  # another member may have them already


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll gave. A newly assigned partition's records wait until its state is restored."""

    records: Sequence[Record] = ()
    assigned: frozenset[int] = frozenset()
    revoked: frozenset[int] = frozenset()  # given up: ours until the next poll, so their state can be written
    lost: frozenset[int] = frozenset()  # another member may have them already
    gaps: Mapping[int, tuple[int, int]] = field(default_factory=dict)  # partition -> offsets that are gone: from, to
    lag: Mapping[int, int] = field(default_factory=dict)  # partition -> records left after this poll, where known
    ended: bool = False  # a file that is not followed has no more


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A control message as it came, and where it came from."""

    value: bytes
    origin: str


def nothing() -> None:
    """Nobody asks for progress."""


class Transport(Protocol):
    """What the loop asks of the outside. Every method is called from one thread.

    Any method may raise BrokerError, DataError (a file or a state that cannot be read or written) or ConfigError (an
    address, a path or a right). After a RetriableError the loop calls `recover` and takes its partitions up anew.
    """

    @property
    def topic(self) -> str:
        """The input's name, as records and incident ids carry it."""
        ...

    @property
    def owner(self) -> Owner:
        """Whose state this transport reads and writes: checkpoints carry it, and another's are refused."""
        ...

    def poll(self, timeout_s: float, most: int) -> Polled:
        """Waits up to timeout_s for records."""
        ...

    def restore(self, partition: int, advanced: Callable[[], None] = nothing) -> Mapping[bytes, bytes]:
        """The newest checkpoint entries of a partition, by key. Blocks until they are read.

        advanced: called now and then meanwhile, so that a long restore is not taken for a hanging one.
        """
        ...

    def resume(self, partition: int, offset: int | None) -> int:
        """Begins a partition at an offset; None: at the committed one, or where the start says. Gives the offset."""
        ...

    def send(self, message: Message) -> None:
        """Hands a message over; may block while too many are outstanding."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Blocks until everything sent is confirmed. Raises BrokerError when it is not."""
        ...

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> None:
        """Marks partition -> next offset as done; under exactly_once what was sent is visible from now on. Blocks."""
        ...

    def recover(self) -> None:
        """Gets ready to send again after a RetriableError; what was not confirmed is dropped."""
        ...

    def control(self) -> list[ControlRecord]:
        """Control messages that came since the last call; never blocks for long."""
        ...

    def close(self, timeout_s: float) -> None:
        """Leaves; sends nothing more."""
        ...
