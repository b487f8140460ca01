"""Data quality of the feed: stuck, missing and out-of-range sensors, judged row by row for all assets at once.

A sensor is judged by runs of rows: so many equal values that training never saw (`stuck_rows` of the manifest), so
many missing values, so many values outside the declared range. Cells of a stuck sensor, and every value outside its
range, are masked for the model (they count as missing and are filled in the graph), so that a dead sensor does not
raise a process alarm of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Counts, Floats, Ints, first_of_runs
from schemas.alert import Condition
from schemas.manifest import Sensor

CONDITIONS = (Condition.STUCK, Condition.MISSING, Condition.OUT_OF_RANGE)
_NEVER = np.iinfo(np.int32).max
_LONG = 2**30  # a run is not counted on past this: at 1 kHz it takes twelve days


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Runs of bad rows against their limits; a sensor is bad where run >= limit."""

    runs: tuple[Counts, ...]  # one (row, sensor) for each of CONDITIONS
    bad: Bools  # (row, sensor) invalid: masked for the model


class Quality:
    """The quality memory of many assets: about 16 bytes a sensor and asset."""

    def __init__(self, sensors: tuple[Sensor, ...], missing_rows: int, range_rows: int, capacity: int = 64) -> None:
        count = len(sensors)
        self._low = _limits([s.low for s in sensors], -np.inf)
        self._high = _limits([s.high for s in sensors], np.inf)
        stuck = np.array([_NEVER if s.stuck_rows is None else s.stuck_rows - 1 for s in sensors], np.int64)
        self.limits = (stuck, np.full(count, missing_rows), np.full(count, range_rows))
        self.last: Floats = np.full((capacity, count), np.nan, np.float32)
        self.runs: Counts = np.zeros((len(CONDITIONS), capacity, count), np.int32)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        more = capacity - len(self.last)
        if more > 0:
            count = self.last.shape[1]
            self.last = np.concatenate([self.last, np.full((more, count), np.nan, np.float32)])
            self.runs = np.concatenate([self.runs, np.zeros((len(CONDITIONS), more, count), np.int32)], axis=1)

    def forget(self, slot: int) -> None:
        """Empties a slot for its next owner."""
        self.last[slot] = np.nan
        self.runs[:, slot] = 0

    def adopt(self, old: "Quality") -> None:
        """Takes over the runs of another version of the same sensors."""
        self.last, self.runs = old.last, old.runs

    def advance(self, slots: Ints, values: Floats) -> Verdicts:
        """Judges rows sorted by slot, in time order within a slot. values: (row, sensor)."""
        first = first_of_runs(slots)
        before = np.empty_like(values)
        before[1:] = values[:-1]
        before[first] = self.last[slots[first]]
        missing = np.isnan(values)
        marks = (values == before, missing, (values < self._low) | (values > self._high))
        ends = np.flatnonzero(np.r_[first[1:], True]) if len(slots) else np.empty(0, np.int64)
        owners = slots[ends]
        runs = []
        for condition, mark in enumerate(marks):
            run = _run_lengths(mark, first, self.runs[condition][slots])
            self.runs[condition][owners] = run[ends]
            runs.append(run)
        self.last[owners] = values[ends]
        bad = marks[2] | (runs[0] >= self.limits[0])
        return Verdicts(tuple(runs), bad)


def _limits(given: Sequence[float | None], none: float) -> Floats:
    """Limits as the feed's numbers can meet them: a larger one than a float32 holds is met by none."""
    most = np.finfo(np.float32).max
    return np.clip([none if limit is None else limit for limit in given], -most, most).astype(np.float32)


def _run_lengths(mark: Bools, first: Bools, carried: Counts) -> Counts:
    """Length of the run of True that ends at each row, by column; `carried` is each slot's run before this poll."""
    if not mark.any():
        return np.zeros(mark.shape, np.int32)
    index = np.arange(1, len(mark) + 1, dtype=np.int32)[:, None]
    begin = np.maximum.accumulate(np.where(first[:, None], index - 1, 0))
    broken = np.maximum.accumulate(np.where(mark, 0, index))
    inside = index - np.maximum(broken, begin)
    unbroken = broken <= begin
    return np.where(mark, inside + np.where(unbroken, np.minimum(carried, _LONG), 0), 0).astype(np.int32)
