"""Per-asset sliding windows, advanced for all assets of a poll at once.

The trainer replays history through this same module, so training and serving cannot disagree on what a window is.

State is struct-of-arrays: one slot an asset. A slot remembers the last `window - 1` rows, the time of its newest
row, the length of its run of rows without a gap, and how many rows in a row came late.

A window is scored when its run is at least `window` long and `(run - window)` is a multiple of `stride`; both depend
on the asset's own rows only, never on how they fell into polls.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from detector.core.arrays import Bools, Doubles, Floats, Ints, first_of_runs
from schemas.feed import RowFlag

# So many late rows in a row, advancing among themselves, mean that the asset's clock was set back for good.
CLOCK_RESET_ROWS = 10


@dataclass(frozen=True, slots=True)
class WindowShape:
    """What a bundle says about its windows."""

    window: int  # rows
    sensors: int
    stride: int  # rows between scored windows
    max_gap_s: float
    fill_limit: float  # largest share of missing cells that is scored


@dataclass(frozen=True, slots=True)
class Screened:
    """A poll's rows, sorted by slot and, within a slot, in order of arrival."""

    order: Ints  # (row,) where each row stood in the poll
    slots: Ints  # (row,)
    times: Doubles  # (row,)
    flags: Ints  # (row,) bits of RowFlag; `slide` adds to them
    kept: Ints  # positions of sorted rows that are not late


@dataclass(frozen=True, slots=True)
class Advance:
    """What a poll's rows make of the windows; positions count the sorted rows."""

    screened: Screened
    scored: Ints  # (scored,) positions into the sorted rows
    filled_share: Floats  # (scored,) share of missing cells
    resets: Ints  # positions of sorted rows before which the slot's memory was emptied
    _cells: Floats  # (ext, sensor) history and rows, slot by slot
    _starts: Ints  # (scored,) first cell row of each window
    _window: int

    def windows(self, begin: int, end: int) -> Floats:
        """Windows of `scored[begin:end]`, shape (end - begin, window, sensor). A copy."""
        count, sensors = self._cells.shape
        flat = as_strided(
            self._cells,
            shape=(max(count - self._window + 1, 0), self._window * sensors),
            strides=(self._cells.strides[0], self._cells.strides[1]),
            writeable=False,
        )
        return flat[self._starts[begin:end]].reshape(-1, self._window, sensors)

    def memory(self) -> tuple[Bools, Ints]:
        """Scored rows with a reset since the scored row before them, and slots with a reset after their last one."""
        slots, scored = self.screened.slots, self.scored
        if not len(self.resets):
            return np.zeros(len(scored), bool), np.empty(0, np.int64)
        resets = np.zeros(len(slots) + 1, np.int64)
        resets[self.resets + 1] = 1
        seen = np.cumsum(resets)  # resets among the rows before a position
        begin = np.searchsorted(slots, slots[scored])
        same = np.r_[False, slots[scored][1:] == slots[scored][:-1]]
        since = np.where(same, np.r_[0, scored[:-1] + 1], begin)
        reset_before = seen[scored + 1] > seen[since]
        newest = {int(slots[row]): int(row) for row in scored}
        reset_after = [int(slots[row]) for row in self.resets if newest.get(int(slots[row]), -1) < row]
        return reset_before, np.unique(np.array(reset_after, np.int64))


class Windows:
    """Windows of many assets. Memory: about `4 * (window - 1) * sensors + 24` bytes an asset."""

    def __init__(self, shape: WindowShape, capacity: int = 64) -> None:
        self.shape = shape
        self.history: Floats = np.full((capacity, shape.window - 1, shape.sensors), np.nan, np.float32)
        self.newest: Doubles = np.full(capacity, -np.inf)
        self.run: Ints = np.zeros(capacity, np.int64)
        self.late: Ints = np.zeros(capacity, np.int64)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        more = capacity - len(self.run)
        if more <= 0:
            return
        shape = self.shape
        self.history = np.concatenate(
            [self.history, np.full((more, shape.window - 1, shape.sensors), np.nan, np.float32)]
        )
        self.newest = np.concatenate([self.newest, np.full(more, -np.inf)])
        self.run = np.concatenate([self.run, np.zeros(more, np.int64)])
        self.late = np.concatenate([self.late, np.zeros(more, np.int64)])

    def forget(self, slot: int) -> None:
        """Empties a slot for its next owner."""
        self.history[slot] = np.nan
        self.newest[slot] = -np.inf
        self.run[slot] = 0
        self.late[slot] = 0

    def adopt(self, old: "Windows") -> None:
        """Takes over the rows of another version's windows; a longer window waits for the rows it lacks."""
        back, had = self.shape.window - 1, old.shape.window - 1
        self.newest, self.late, self.run = old.newest, old.late, old.run
        if back > had:
            self.run = np.minimum(old.run, had)
            self.history[:, back - had :] = old.history
        elif back:
            self.history = old.history[:, had - back :].copy()

    def advance(self, slots: Ints, times: Doubles, values: Floats) -> Advance:
        """Takes rows in order of arrival: slots (row,), times (row,) seconds, values (row, sensor), NaN = missing."""
        screened = self.screen(slots, times)
        return self.slide(screened, values[screened.order[screened.kept]])

    def screen(self, slots: Ints, times: Doubles) -> Screened:
        """Sorts rows by slot and flags late rows and clock resets. Call `slide` next, once."""
        order = np.argsort(slots, kind="stable")
        slots, times = slots[order], times[order]
        flags = np.zeros(len(slots), np.int64)
        before = _previous(slots, times, self.newest)
        # Both are rare, so only slots that have one are walked row by row.
        suspects = np.unique(slots[(times <= before) | ((self.late[slots] > 0) & first_of_runs(slots))])
        for slot in suspects:
            self._walk(int(slot), np.flatnonzero(slots == slot), times, flags)
        return Screened(order, slots, times, flags, np.flatnonzero((flags & RowFlag.LATE) == 0))

    def _walk(self, slot: int, rows: Ints, times: Doubles, flags: Ints) -> None:
        newest, late = float(self.newest[slot]), int(self.late[slot])
        for row in rows:
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

    def slide(self, screened: Screened, values: Floats) -> Advance:
        """Moves the windows over the kept rows; values (kept, sensor)."""
        shape, back = self.shape, self.shape.window - 1
        flags, kept = screened.flags, screened.kept
        k_slots, k_times = screened.slots[kept], screened.times[kept]
        first = first_of_runs(k_slots)
        begins = np.flatnonzero(first)
        segment = np.cumsum(first) - 1
        owners = k_slots[begins]

        before = _previous(k_slots, k_times, self.newest)
        clock = (flags[kept] & RowFlag.CLOCK_RESET) != 0
        known = np.isfinite(before)
        gap = (k_times - before > shape.max_gap_s) & known
        reset = gap | clock
        flags[kept[gap]] |= RowFlag.GAP
        run = _runs(first, reset, self.run[k_slots])

        position = np.arange(len(kept)) + (segment + 1) * back
        cells = np.empty((len(kept) + len(begins) * back, shape.sensors), np.float32)
        cells[position] = values
        heads = begins + np.arange(len(begins)) * back
        if back:
            cells[(heads[:, None] + np.arange(back)).ravel()] = self.history[owners].reshape(-1, shape.sensors)

        full = (run >= shape.window) & ((run - shape.window) % shape.stride == 0)
        flags[kept[~full]] |= RowFlag.WARMING
        candidates = np.flatnonzero(full)
        starts = position[candidates] - back
        share = _missing_share(cells, starts, shape.window)
        fine = share <= shape.fill_limit
        flags[kept[candidates[~fine]]] |= RowFlag.UNFILLABLE
        flags[kept[candidates[fine & (share > 0)]]] |= RowFlag.FILLED

        if len(kept):
            lasts = np.r_[begins[1:], len(kept)] - 1
            self.newest[owners] = k_times[lasts]
            self.run[owners] = run[lasts]
            if back:
                tail = position[lasts][:, None] + np.arange(1 - back, 1)
                self.history[owners] = cells[tail.ravel()].reshape(len(owners), back, shape.sensors)
        return Advance(
            screened=screened,
            scored=kept[candidates[fine]],
            filled_share=share[fine],
            resets=kept[reset],
            _cells=cells,
            _starts=starts[fine],
            _window=shape.window,
        )


def _previous(slots: Ints, times: Doubles, newest: Doubles) -> Doubles:
    """The time of the row before each row, within its slot; the slot's memory at its first row."""
    before = np.empty(len(times))
    before[1:] = times[:-1]
    first = first_of_runs(slots)
    before[first] = newest[slots[first]]
    return before


def _runs(first: Bools, reset: Bools, carried: Ints) -> Ints:
    """Length of the gap-free run that ends at each row; `carried` is the slot's run before this poll."""
    index = np.arange(len(first))
    origin = np.maximum.accumulate(np.where(first | reset, index, 0)) if len(first) else index
    return index - origin + 1 + np.where(reset[origin], 0, carried) if len(first) else index


def _missing_share(cells: Floats, starts: Ints, window: int) -> Floats:
    """Share of missing cells of each window; free of cost when nothing is missing."""
    missing = np.isnan(cells).sum(axis=1)
    if not missing.any():
        return np.zeros(len(starts), np.float32)
    total = np.concatenate([[0], np.cumsum(missing)])
    share = (total[starts + window] - total[starts]) / (window * cells.shape[1])
    return np.asarray(share, np.float32)
