"""A partition's life: everything that moves it stands in this file.

The rule. The group gives a partition, and it is read only after its state was restored and reading was resumed where
that state stands. What was read is committed with the state that it led to. Given up in order it is ours until that
last commit; lost, another member may have it already, and nothing of it may be written. After an error nothing that
the watch holds of it counts: it is restored anew. The group's word (assign, revoke, lose) counts whenever it comes;
our own steps in another order would write state that nobody restored, so they are refused as bugs.

                the group's word                      our own steps
    state        assign      revoke      lose        interrupt    restore   resume   advance  commit   release
    unassigned   assigned    unassigned  unassigned  -            -         -        -        -        -
    assigned     assigned    unassigned  unassigned  interrupted  restored  -        -        -        -
    restored     assigned    unassigned  unassigned  interrupted  -         reading  -        -        -
    reading      assigned    revoked     unassigned  interrupted  -         -        reading  reading  -
    revoked      assigned    revoked     unassigned  -            -         -        -        revoked  unassigned
    interrupted  assigned    unassigned  unassigned  interrupted  restored  -        -        -        -
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class PartitionState(StrEnum):
    """Where a partition stands."""

    UNASSIGNED = "unassigned"  # another member's, or nobody's
    ASSIGNED = "assigned"  # ours; its state is not restored yet
    RESTORED = "restored"  # its state is in the watch; reading has not begun
    READING = "reading"  # resumed: records come, and its offset moves
    REVOKED = "revoked"  # given up in order: ours for one last commit
    INTERRUPTED = "interrupted"  # after an error: what the watch holds of it does not count


class PartitionEvent(StrEnum):
    """What moves a partition."""

    ASSIGN = "assign"
    REVOKE = "revoke"
    LOSE = "lose"
    INTERRUPT = "interrupt"
    RESTORE = "restore"
    RESUME = "resume"
    ADVANCE = "advance"
    COMMIT = "commit"
    RELEASE = "release"


# From the group in any state; a partition that was not being read has nothing to commit, so revoking ends its life.
TABLE: dict[tuple[PartitionState, PartitionEvent], PartitionState] = {
    **{(state, PartitionEvent.ASSIGN): PartitionState.ASSIGNED for state in PartitionState},
    **{(state, PartitionEvent.REVOKE): PartitionState.UNASSIGNED for state in PartitionState},
    **{(state, PartitionEvent.LOSE): PartitionState.UNASSIGNED for state in PartitionState},
    (PartitionState.READING, PartitionEvent.REVOKE): PartitionState.REVOKED,
    (PartitionState.REVOKED, PartitionEvent.REVOKE): PartitionState.REVOKED,
    (PartitionState.ASSIGNED, PartitionEvent.INTERRUPT): PartitionState.INTERRUPTED,
    (PartitionState.RESTORED, PartitionEvent.INTERRUPT): PartitionState.INTERRUPTED,
    (PartitionState.READING, PartitionEvent.INTERRUPT): PartitionState.INTERRUPTED,
    (PartitionState.INTERRUPTED, PartitionEvent.INTERRUPT): PartitionState.INTERRUPTED,
    (PartitionState.ASSIGNED, PartitionEvent.RESTORE): PartitionState.RESTORED,
    (PartitionState.INTERRUPTED, PartitionEvent.RESTORE): PartitionState.RESTORED,
    (PartitionState.RESTORED, PartitionEvent.RESUME): PartitionState.READING,
    (PartitionState.READING, PartitionEvent.ADVANCE): PartitionState.READING,
    (PartitionState.READING, PartitionEvent.COMMIT): PartitionState.READING,
    (PartitionState.REVOKED, PartitionEvent.COMMIT): PartitionState.REVOKED,
    (PartitionState.REVOKED, PartitionEvent.RELEASE): PartitionState.UNASSIGNED,
}


@dataclass(slots=True)
class _Partition:
    state: PartitionState = PartitionState.UNASSIGNED
    position: int = 0  # offset of the next record
    committed: int | None = None  # offset that the newest checkpoint stands for; None: there is none yet


class Partitions:
    """The partitions of this member. Raises RuntimeError for a step that the table refuses: that is a bug."""

    def __init__(self) -> None:
        self._held: dict[int, _Partition] = {}

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[int]:
        """Those that are ours, in order."""
        return sorted(self._held)

    def state(self, partition: int) -> PartitionState:
        """Where a partition stands."""
        return self._held[partition].state if partition in self._held else PartitionState.UNASSIGNED

    def position(self, partition: int) -> int:
        """Offset of the next record; 0 of a partition that is not ours."""
        return self._held[partition].position if partition in self._held else 0

    def step(self, partition: int, event: PartitionEvent) -> None:
        """Moves a partition by the table."""
        self._move(partition, event)

    def interrupt(self) -> None:
        """After an error: all of them are to be restored anew."""
        for partition in self.held():
            self._move(partition, PartitionEvent.INTERRUPT)

    def resume(self, partition: int, position: int, committed: int | None) -> None:
        """Reading begins at `position`. committed: the restored checkpoint's offset, where there was one."""
        held = self._move(partition, PartitionEvent.RESUME)
        held.position, held.committed = position, committed

    def advance(self, partition: int, position: int) -> None:
        """Records before `position` were read, or are gone."""
        self._move(partition, PartitionEvent.ADVANCE).position = position

    def commit(self, partition: int, offset: int) -> None:
        """A checkpoint stands for everything before `offset` now."""
        self._move(partition, PartitionEvent.COMMIT).committed = offset

    def to_commit(self, changed: Callable[[int], bool]) -> dict[int, int]:
        """Partition -> next offset, of those whose offset or state is newer than their checkpoint."""
        writable = {n: held for n, held in self._held.items() if (held.state, PartitionEvent.COMMIT) in TABLE}
        return {n: p.position for n, p in writable.items() if p.committed != p.position or changed(n)}

    def _move(self, partition: int, event: PartitionEvent) -> _Partition:
        held = self._held.get(partition) or _Partition()
        after = TABLE.get((held.state, event))
        if after is None:
            raise RuntimeError(f"partition {partition} is {held.state.value}: it cannot {event.value}")
        held.state = after
        if after is PartitionState.UNASSIGNED:
            self._held.pop(partition, None)
        else:
            self._held[partition] = held
        return held
