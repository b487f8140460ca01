"""A partition's life is the table in its file: every pair of state and event, and which of them are refused."""

import itertools
from collections.abc import Callable

import pytest

from detector.daemon import partitions
from detector.daemon.partitions import TABLE, PartitionEvent, Partitions, PartitionState

# How a partition gets into each state, from none.
WAYS: dict[PartitionState, list[PartitionEvent]] = {
    PartitionState.UNASSIGNED: [],
    PartitionState.ASSIGNED: [PartitionEvent.ASSIGN],
    PartitionState.RESTORED: [PartitionEvent.ASSIGN, PartitionEvent.RESTORE],
    PartitionState.READING: [PartitionEvent.ASSIGN, PartitionEvent.RESTORE, PartitionEvent.RESUME],
    PartitionState.REVOKED: [
        PartitionEvent.ASSIGN,
        PartitionEvent.RESTORE,
        PartitionEvent.RESUME,
        PartitionEvent.REVOKE,
    ],
    PartitionState.INTERRUPTED: [PartitionEvent.ASSIGN, PartitionEvent.INTERRUPT],
}
PAIRS = list(itertools.product(PartitionState, PartitionEvent))


def written() -> dict[tuple[PartitionState, PartitionEvent], PartitionState]:
    """The table of the module's docstring, as people read it."""
    lines = [line.split() for line in (partitions.__doc__ or "").splitlines()]
    begin = next(i for i, words in enumerate(lines) if words[:1] == ["state"])
    head = lines[begin][1:]
    return {
        (PartitionState(words[0]), PartitionEvent(event)): PartitionState(after)
        for words in lines[begin + 1 :]
        if words
        for event, after in zip(head, words[1:], strict=True)
        if after != "-"
    }


def reached(state: PartitionState) -> Partitions:
    """Partition 3 in a state."""
    found = Partitions()
    for event in WAYS[state]:
        found.step(3, event)
    assert found.state(3) is state
    return found


def test_the_table_that_is_read_is_the_table_that_runs() -> None:
    """The docstring's table and the one in the code agree in every cell."""
    assert written() == TABLE


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=[f"{s.value}-{e.value}" for s, e in PAIRS])
def test_every_pair_moves_as_written_or_is_refused(state: PartitionState, event: PartitionEvent) -> None:
    """What the table does not have is a bug: it raises and moves nothing."""
    found = reached(state)
    if (state, event) in written():
        found.step(3, event)
        assert found.state(3) is written()[state, event]
        return
    with pytest.raises(RuntimeError, match=f"partition 3 is {state.value}: it cannot {event.value}"):
        found.step(3, event)
    assert found.state(3) is state


@pytest.mark.parametrize("event", [PartitionEvent.ASSIGN, PartitionEvent.REVOKE, PartitionEvent.LOSE])
def test_the_groups_word_is_never_refused(event: PartitionEvent) -> None:
    """A broker may say it at any time; nothing that it says ends the daemon."""
    for state in PartitionState:
        reached(state).step(3, event)


def changed(*numbers: int) -> Callable[[int], bool]:
    return lambda partition: partition in numbers


@pytest.mark.parametrize("state", PartitionState)
def test_only_what_was_restored_and_is_still_ours_is_committed(state: PartitionState) -> None:
    """State of a partition that was not restored, or that another member has, is never written."""
    committed = reached(state).to_commit(changed(3))
    assert set(committed) == ({3} if state in (PartitionState.READING, PartitionState.REVOKED) else set())


def test_what_did_not_move_is_not_committed_again() -> None:
    """A checkpoint is due where the offset moved, where the state did (silence), or where there is none yet."""
    found = Partitions()
    for partition, checkpoint in ((0, 5), (1, 5), (2, 5), (3, None)):
        found.step(partition, PartitionEvent.ASSIGN)
        found.step(partition, PartitionEvent.RESTORE)
        found.resume(partition, 5, checkpoint)
    found.advance(1, 9)
    assert found.to_commit(changed(2)) == {1: 9, 2: 5, 3: 5}
    for partition, offset in found.to_commit(changed()).items():
        found.commit(partition, offset)
    assert found.to_commit(changed()) == {}


def test_an_interruption_takes_all_of_them_and_another_one_changes_nothing() -> None:
    """Also those that had just been restored, or waited to be."""
    found = Partitions()
    for number, state in enumerate((PartitionState.ASSIGNED, PartitionState.RESTORED, PartitionState.READING)):
        for event in WAYS[state]:
            found.step(number, event)
    for _ in range(2):
        found.interrupt()
        assert {found.state(number) for number in found.held()} == {PartitionState.INTERRUPTED}
    assert (found.held(), len(found)) == ([0, 1, 2], 3)
    assert found.to_commit(changed(0, 1, 2)) == {}
