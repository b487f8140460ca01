"""When each asset's rows came: late rows are kept out, a clock that was set back is followed, silence shows.

A row that is not newer than the newest of its asset is late. CLOCK_RESET_ROWS late rows in a row mean that the
asset's clock was set back for good: the last of them is kept, and the asset begins anew from it. All this belongs to
the asset, whatever its model is, so another version of the model finds it as it was.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints, first_of_runs, last_of_runs, previous
from detector.core.component import Columns, grown
from detector.core.ingest.fields import LATEST_S
from detector.core.slots import SlotRows
from schemas.feed import RowFlag

CLOCK_RESET_ROWS = 10


@dataclass(frozen=True, slots=True)
class Screened:
    """A poll's rows, and those among them that are not late."""

    rows: SlotRows
    flags: Ints  # (row,) bits of RowFlag; the windows add to them
    kept: Ints  # (kept,) positions of rows that are not late
    kept_rows: SlotRows  # (kept,)
    first: Bools  # (kept,) the slot's first kept row of the poll
    before: Doubles  # (kept,) time of the asset's row before it, seconds; -inf: it has none
    before_offset: Ints  # (kept,) and its offset; -1: it has none


class Arrivals:
    """The clocks of many assets: about 41 bytes an asset."""

    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, capacity: int = 64) -> None:
        self.newest: Doubles = np.full(capacity, -np.inf)  # event time of the newest row
        self.newest_offset: Ints = np.full(capacity, -1, np.int64)  # its offset; -1: there is none
        self.late: Ints = np.zeros(capacity, np.int64)  # late rows in a row
        self.seen: Doubles = np.full(capacity, np.inf)  # clock of the newest record; inf: nothing to expect
        self.next_offset: Ints = np.zeros(capacity, np.int64)  # records below it are in the state already
        self.dirty: Bools = np.zeros(capacity, bool)  # touched since the last checkpoint

    @property
    def capacity(self) -> int:
        """Slots that there is room for."""
        return len(self.newest)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        self.newest = grown(self.newest, capacity, -np.inf)
        self.newest_offset = grown(self.newest_offset, capacity, -1)
        self.late = grown(self.late, capacity, 0)
        self.seen = grown(self.seen, capacity, np.inf)
        self.next_offset = grown(self.next_offset, capacity, 0)
        self.dirty = grown(self.dirty, capacity, 0)

    def forget(self, slots: Ints) -> None:
        """Empties slots for their next owners."""
        self.newest[slots], self.newest_offset[slots], self.late[slots] = -np.inf, -1, 0
        self.seen[slots], self.next_offset[slots], self.dirty[slots] = np.inf, 0, False

    def adopt(self, old: "Arrivals") -> None:
        """Takes over all of it: an asset's clock is its own."""
        self.newest, self.newest_offset = old.newest, old.newest_offset
        self.late, self.seen = old.late, old.seen
        self.next_offset, self.dirty = old.next_offset, old.dirty

    def dump(self, slots: Ints) -> Columns:
        """Offsets and times; silence is measured anew after a restart."""
        return {
            "next_offset": self.next_offset[slots].tolist(),
            "newest": self.newest[slots].tolist(),
            "newest_offset": self.newest_offset[slots].tolist(),
            "late": self.late[slots].tolist(),
        }

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up what `dump` gave. Raises ValueError for a time that is no moment."""
        newest = np.array(columns["newest"], np.float64)
        check_newest(newest)
        self.newest[slots] = newest
        self.late[slots], self.next_offset[slots] = columns["late"], columns["next_offset"]
        # Earlier programs took the last record of all for it.
        last = [next_offset - 1 for next_offset in columns["next_offset"]]
        written = columns["newest_offset"]
        self.newest_offset[slots] = [b if a is None else a for a, b in zip(written, last, strict=True)]

    def meet(self, slot: int, next_offset: int, clock: float) -> None:
        """A new asset: records below `next_offset` are passed over."""
        self.seen[slot], self.next_offset[slot] = clock, next_offset

    def expect(self, slots: Ints, clock: float | Doubles) -> None:
        """From this clock on an asset's silence counts; inf: not before its next record."""
        self.seen[slots] = clock

    def postpone(self, by_s: float, clock: float) -> None:
        """Takes time out of every silence that is being measured; none is measured from later than `clock`."""
        known = np.isfinite(self.seen)
        self.seen[known] = np.minimum(self.seen[known] + by_s, clock)

    def screen(self, rows: SlotRows) -> Screened:
        """Flags late rows and clock resets, and remembers the newest of the others."""
        slots, times = rows.slots, rows.times
        flags = np.zeros(len(rows), np.int64)
        first = first_of_runs(slots)
        before = self._before(rows, first)
        # Both are rare, so only slots that have one are walked row by row.
        suspects = np.unique(slots[(times <= before) | ((self.late[slots] > 0) & first)]).tolist()
        for slot in suspects:
            self._walk(slot, np.flatnonzero(slots == slot), times, flags)
        kept = np.flatnonzero((flags & RowFlag.LATE) == 0)
        kept_rows = rows.at(kept)
        if len(kept) < len(rows):
            first = first_of_runs(kept_rows.slots)
            before = self._before(kept_rows, first)
        last = last_of_runs(first)
        ended = kept_rows.slots[last]
        before_offset = previous(kept_rows.offsets, first, self.newest_offset[kept_rows.slots[first]])
        self.newest[ended], self.newest_offset[ended] = kept_rows.times[last], kept_rows.offsets[last]
        return Screened(rows, flags, kept, kept_rows, first, before, before_offset)

    def note(self, rows: SlotRows, clock: float) -> None:
        """Rows went all the way: the records below them are in the state from now on."""
        first = first_of_runs(rows.slots)
        begins = np.flatnonzero(first)
        owners = rows.slots[begins]
        self.seen[owners], self.dirty[owners] = clock, True
        # Of long records a row's offset is that of its last value: they need not ascend.
        newest = np.maximum.reduceat(rows.offsets, begins) + 1
        self.next_offset[owners] = np.maximum(self.next_offset[owners], newest)

    def note_values(self, slots: Ints, offsets: Ints, clock: float) -> None:
        """Values of long records came, (value,): what they are part of is in the state, though their rows may wait."""
        np.maximum.at(self.next_offset, slots, offsets + 1)
        self.seen[slots], self.dirty[slots] = clock, True

    def quiet(self, clock: float, after_s: float, *, by_feed: bool) -> list[int]:
        """Slots without a record for longer than `after_s`; by_feed: by event time instead of the clock."""
        since = self.newest if by_feed else self.seen
        known = np.flatnonzero(np.isfinite(since) & np.isfinite(self.seen))
        return [int(slot) for slot in known[clock - since[known] > after_s]]

    def _before(self, rows: SlotRows, first: Bools) -> Doubles:
        """The time of the row before each row, within its slot; the slot's memory at its first row."""
        return previous(rows.times, first, self.newest[rows.slots[first]])

    def _walk(self, slot: int, rows: Ints, times: Doubles, flags: Ints) -> None:
        newest, late = float(self.newest[slot]), int(self.late[slot])
        for row in rows.tolist():
            time = float(times[row])
            if time > newest:
                newest, late = time, 0
                continue
            late += 1
            if late < CLOCK_RESET_ROWS:
                flags[row] |= RowFlag.LATE
                continue
            flags[row] |= RowFlag.CLOCK_RESET
            newest, late = time, 0
        self.late[slot] = late


def check_newest(newest: Doubles) -> None:
    """Raises ValueError for a newest row at no moment; -inf: there is none.

    >>> check_newest(np.array([-np.inf, 1.7e9]))
    """
    if not ((newest == -np.inf) | ((newest >= 0) & (newest < LATEST_S))).all():
        raise ValueError("the checkpoint has an asset whose newest row is at no moment")
