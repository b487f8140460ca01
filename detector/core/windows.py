"""Per-asset sliding windows, advanced for all assets of a poll at once.

The trainer replays history through this same module, so training and serving cannot disagree on what a window is.

State is struct-of-arrays: one slot an asset. A slot remembers the last `window - 1` rows and the length of its run of
rows without a gap.

A window is scored when its run is at least `window` long and `(run - window)` is a multiple of `stride`; both depend
on the asset's own rows only, never on how they fell into polls.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from detector.core.arrays import Bools, Floats, Ints, first_of_runs, last_of_runs
from detector.core.arrivals import Screened
from detector.core.component import Columns, grown, pack, unpack
from schemas.feed import RowFlag


@dataclass(frozen=True, slots=True)
class WindowShape:
    """What a bundle says about its windows."""

    window: int  # rows
    sensors: int
    stride: int  # rows between scored windows
    max_gap_s: float
    fill_limit: float  # largest share of missing cells that is scored


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

    def reset_before(self) -> Bools:
        """Scored rows with a reset since the scored row of the slot before them, (scored,)."""
        slots, scored = self.screened.rows.slots, self.scored
        if not len(self.resets):
            return np.zeros(len(scored), bool)
        resets = np.zeros(len(slots) + 1, np.int64)
        resets[self.resets + 1] = 1
        seen = np.cumsum(resets)  # resets among the rows before a position
        begin = np.searchsorted(slots, slots[scored])
        since = np.where(first_of_runs(slots[scored]), begin, np.r_[0, scored[:-1] + 1])
        return np.asarray(seen[scored + 1] > seen[since])

    def reset_after(self) -> Ints:
        """Slots whose last reset no scored row follows."""
        if not len(self.resets):
            return self.resets
        slots = np.r_[self.screened.rows.slots, -1]
        last = self.resets[last_of_runs(first_of_runs(slots[self.resets]))]  # each slot's last reset
        following = np.r_[self.scored, len(slots) - 1][np.searchsorted(self.scored, last)]
        return np.asarray(slots[last][slots[following] != slots[last]])


class Windows:
    """Windows of many assets. Memory: about `4 * (window - 1) * sensors + 8` bytes an asset."""

    depends_on: ClassVar[tuple[str, ...]] = ("sensors", "window")

    def __init__(self, shape: WindowShape, capacity: int = 64) -> None:
        self.shape = shape
        self.history: Floats = np.full((capacity, shape.window - 1, shape.sensors), np.nan, np.float32)
        self.run: Ints = np.zeros(capacity, np.int64)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        self.history = grown(self.history, capacity, np.nan)
        self.run = grown(self.run, capacity, 0)

    def forget(self, slots: Ints) -> None:
        """Empties slots for their next owners."""
        self.history[slots], self.run[slots] = np.nan, 0

    def adopt(self, old: "Windows") -> None:
        """Takes over the rows of the same sensors; a longer window waits for the rows it lacks."""
        back, had = self.shape.window - 1, old.shape.window - 1
        self.run = old.run
        if back > had:
            self.run = np.minimum(old.run, had)
            self.history[:, back - had :] = old.history
        elif back:
            self.history = old.history[:, had - back :].copy()

    def reorder(self, columns: Ints) -> None:
        """The same sensors in another order: column i becomes what columns[i] was."""
        self.history = self.history[:, :, columns]

    def dump(self, slots: Ints) -> Columns:
        """history: float32 (window - 1, sensor); run: rows."""
        return {"history": pack(self.history[slots]), "run": self.run[slots].tolist()}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up windows of the same sensors and length. Raises ValueError for arrays of another form."""
        self.history[slots] = unpack(columns["history"], np.float32, self.history.shape[1:])
        self.run[slots] = columns["run"]

    def slide(self, screened: Screened, values: Floats) -> Advance:
        """Moves the windows over the kept rows; values (kept, sensor), NaN = missing."""
        shape, back = self.shape, self.shape.window - 1
        flags, kept, first, before = screened.flags, screened.kept, screened.first, screened.before
        slots, times = screened.kept_rows.slots, screened.kept_rows.times
        begins = np.flatnonzero(first)
        segment = np.cumsum(first) - 1
        owners = slots[begins]

        clock = (flags[kept] & RowFlag.CLOCK_RESET) != 0
        gap = (times - before > shape.max_gap_s) & np.isfinite(before)
        reset = gap | clock
        flags[kept[gap]] |= RowFlag.GAP
        run = _runs(first, reset, self.run[slots])

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
            lasts = last_of_runs(first)
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
