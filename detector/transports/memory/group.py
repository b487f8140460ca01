"""A consumer group: who reads which partition, and up to where it is done.

Partitions move as in Kafka's cooperative protocol. A member that has too many is told so in its next poll (revoked),
keeps them until the poll after that, and only then another one gets them (assigned). A member that is thrown out hears
of it when it polls again (lost): others may have its partitions by then, and it joins anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from detector.errors import PartitionsLost
from detector.transports.interface import Rebalance


@dataclass(eq=False, slots=True)
class Member:
    """A member's news for its next poll, and what it gives up with that poll."""

    assigned: set[int] = field(default_factory=set)
    revoked: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    releasing: set[int] = field(default_factory=set)  # told as revoked: free with the next poll


class Group:
    """Members in the order in which they joined. partitions: how many the topic has now."""

    def __init__(self, partitions: Callable[[], int]) -> None:
        self.committed: dict[int, int] = {}  # partition -> next offset
        self.members: list[Member] = []
        self._partitions = partitions
        self._owner: dict[int, Member] = {}

    def poll(self, member: Member) -> Rebalance:
        """What changed for a member since its last poll; its first one joins it."""
        if member not in self.members:
            self.members.append(member)
        for partition in member.releasing:
            del self._owner[partition]
        self._assign()
        news = Rebalance(frozenset(member.assigned), frozenset(member.revoked), frozenset(member.lost))
        member.releasing = set(member.revoked)
        member.assigned, member.revoked, member.lost = set(), set(), set()
        return news

    def commit(self, member: Member, offsets: Mapping[int, int]) -> None:
        """Marks partition -> next offset as done. Raises PartitionsLost, and marks none, where one is not its own."""
        foreign = [partition for partition in offsets if self._owner.get(partition) is not member]
        if foreign:
            raise PartitionsLost(f"partition {foreign[0]} is another member's", "this mends itself")
        self.committed |= offsets

    def owned(self, member: Member) -> set[int]:
        """The partitions that are a member's, those included that it is giving up."""
        return {partition for partition, owner in self._owner.items() if owner is member}

    def leave(self, member: Member) -> None:
        """A member ends in order: its partitions are free."""
        self._remove(member)

    def evict(self, member: Member) -> None:
        """The broker throws a member out that it did not hear from; the member learns of it when it polls again."""
        member.lost |= self.owned(member) - member.assigned
        self._remove(member)

    def _remove(self, member: Member) -> None:
        for partition in self.owned(member):
            del self._owner[partition]
        if member in self.members:
            self.members.remove(member)
        member.assigned, member.revoked, member.releasing = set(), set(), set()

    def _assign(self) -> None:
        """Evens out the shares: who has too many gives up the last ones, who has too few gets the free ones."""
        count = self._partitions()
        largest_first = sorted(self.members, key=lambda member: -len(self._kept(member)))
        share, rest = divmod(count, len(self.members))
        shares = [(member, share + (number < rest)) for number, member in enumerate(largest_first)]
        for member, most in shares:
            for partition in sorted(self._kept(member))[most:]:
                self._take(member, partition)
        free = [partition for partition in range(count) if partition not in self._owner]
        for member, most in shares:
            room = most - len(self._kept(member))
            given, free = free[:room], free[room:]
            self._owner |= dict.fromkeys(given, member)
            member.assigned |= set(given)

    def _kept(self, member: Member) -> set[int]:
        return self.owned(member) - member.revoked - member.releasing

    def _take(self, member: Member, partition: int) -> None:
        if partition in member.assigned:  # it never heard of it
            member.assigned.remove(partition)
            del self._owner[partition]
        else:
            member.revoked.add(partition)
