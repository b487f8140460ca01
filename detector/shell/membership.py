"""What the group gives and takes. Listeners run on the client's own thread, so they only take notes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from kafka import ConsumerRebalanceListener, TopicPartition


@dataclass(frozen=True, slots=True)
class Changes:
    """Partitions by what became of them since the last look."""

    assigned: frozenset[int]
    revoked: frozenset[int]  # given up in order: ours until the next poll
    lost: frozenset[int]  # another member may have them already


class Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Takes down what the group gave and took, for the loop to act on between polls."""

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._lock = Lock()
        self._assigned: set[int] = set()
        self._revoked: dict[int, int] = {}  # partition -> generation in which it was given up
        self._lost: set[int] = set()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Called on the client's thread."""
        with self._lock:
            self._assigned |= _numbers(assigned)

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Called on the client's thread."""
        generation = self._generation()
        with self._lock:
            self._assigned -= _numbers(revoked)
            self._revoked |= dict.fromkeys(_numbers(revoked), generation)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        """Called on the client's thread."""
        with self._lock:
            self._assigned -= _numbers(lost)
            self._lost |= _numbers(lost)

    def take(self, generation: int) -> Changes:
        """What changed since the last call; what was given up in an earlier generation counts as lost."""
        with self._lock:
            revoked = {number for number, given in self._revoked.items() if given == generation} - self._lost
            lost = self._lost | self._revoked.keys() - revoked
            changes = Changes(frozenset(self._assigned), frozenset(revoked), frozenset(lost))
            self._assigned, self._revoked, self._lost = set(), {}, set()
            return changes


def _numbers(places: Iterable[TopicPartition]) -> set[int]:
    return {place.partition for place in places}
