"""What the group gives and takes. Listeners run on the client's own thread, so they only record."""

from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock

from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import ConsumerGroupMetadata

from detector.transports.interface import Rebalance


class ForgetfulStickyAssignor(CooperativeStickyAssignor):  # type: ignore[misc]  # kafka-python has no types
    """Tells the group what we hold, and who is to hold what. Those who keep their partitions go on meanwhile.

    The client's own goes on claiming what we held before the group threw us out. The leader then waits for us to give
    it up, which we cannot, and nobody gets these partitions.
    """

    def forget(self) -> None:
        """We hold nothing any more."""
        self.member_assignment = None


class RebalanceRecorder(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Takes down what the group gave and took, for the loop to act on between polls."""

    def __init__(self, generation: Callable[[], int], assignor: ForgetfulStickyAssignor) -> None:
        self._generation, self._assignor = generation, assignor
        self._lock = Lock()
        self._assigned: set[int] = set()
        self._revoked: dict[int, int] = {}  # partition -> generation in which it was given up
        self._lost: set[int] = set()
        self._member_id = ""

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
        self._assignor.forget()
        with self._lock:
            self._assigned -= _numbers(lost)
            self._lost |= _numbers(lost)

    def take(self, member: ConsumerGroupMetadata, held: Collection[int]) -> Rebalance:
        """What changed since the last call; what was given up in an earlier generation counts as lost.

        member: as the group knows us now; held: the partitions that the loop works on. A member that the group had
        thrown out may be given its partitions again without a word to listeners: somebody had them meanwhile.
        """
        with self._lock:
            revoked = {n for n, given in self._revoked.items() if given == member.generation_id} - self._lost
            lost = self._lost | self._revoked.keys() - revoked
            if self._thrown_out(str(member.member_id or "")):
                again = set(held) - self._revoked.keys() - self._lost
                revoked, lost, self._assigned = set(), lost | set(held), self._assigned | again
            rebalance = Rebalance(frozenset(self._assigned), frozenset(revoked), frozenset(lost))
            self._assigned, self._revoked, self._lost = set(), {}, set()
            return rebalance

    def _thrown_out(self, member_id: str) -> bool:
        """Whether the group gave us another id than before; none means that we are joining."""
        before, self._member_id = self._member_id, member_id or self._member_id
        return before not in ("", self._member_id)


def _numbers(partitions: Iterable[TopicPartition]) -> set[int]:
    return {partition.partition for partition in partitions}
