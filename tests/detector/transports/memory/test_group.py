"""The group in memory, whatever its members do: no partition has two owners, and none is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from detector.transports.memory.group import Group, Member

DEEDS = st.lists(st.tuples(st.sampled_from(["poll", "leave", "evict", "grow"]), st.integers(0, 3)), max_size=60)


class Watcher:
    """A member with what it knows: the partitions that it may work on after its last poll."""

    def __init__(self) -> None:
        self.member, self.mine = Member(), set[int]()

    def poll(self, group: Group) -> None:
        news = group.poll(self.member)
        self.mine = (self.mine - news.lost - news.revoked) | news.assigned


@given(DEEDS)
def test_a_partition_has_one_owner_and_the_shares_become_even(deeds: list[tuple[str, int]]) -> None:
    """Joins, leaves, evictions and new partitions in any order; then some quiet rounds settle it."""
    count = 3
    group = Group(lambda: count)
    watchers = [Watcher() for _ in range(4)]
    for deed, number in deeds:
        watcher = watchers[number]
        if deed == "poll":
            watcher.poll(group)
        elif deed == "leave":
            group.leave(watcher.member)
            watchers[number] = Watcher()
        elif deed == "evict":
            group.evict(watcher.member)
        else:
            count = min(count + 1, 7)
        # One that was thrown out does not know it yet; the others never share a partition.
        known = [p for watcher in watchers if watcher.member in group.members for p in watcher.mine]
        assert len(known) == len(set(known))
    for _ in range(6):
        for watcher in watchers:
            watcher.poll(group)
    shares = [watcher.mine for watcher in watchers]
    assert sorted(p for share in shares for p in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_who_has_enough_keeps_it() -> None:
    """A third member takes one partition from each of two that have three; nothing else moves."""
    group = Group(lambda: 6)
    watchers = [Watcher(), Watcher(), Watcher()]
    for _ in range(3):
        for watcher in watchers[:2]:
            watcher.poll(group)
    before = [set(watcher.mine) for watcher in watchers[:2]]
    for _ in range(3):
        for watcher in watchers:
            watcher.poll(group)
    assert [len(watcher.mine) for watcher in watchers] == [2, 2, 2]
    assert all(watcher.mine < had for watcher, had in zip(watchers, before, strict=False))
