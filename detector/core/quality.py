"""Data quality of the feed: stuck, missing and out-of-range sensors, judged row by row for all assets at once.

A sensor is judged by its runs of rows: of equal values, longer than any in training (`stuck_rows` of the manifest), of
missing values, and of values outside the declared range. Cells of a stuck sensor, and every value outside its range,
are invalid and masked: they count as missing, and the graph fills them. A dead sensor raises no process alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detector.core.arrays import Bools, Counts, Floats, Ints, first_of_runs, last_of_runs, previous
from detector.core.component import Columns, grown, pack, unpack
from schemas.alert import Condition
from schemas.manifest import Sensor

CONDITIONS = (Condition.STUCK, Condition.MISSING, Condition.OUT_OF_RANGE)
_NEVER = np.iinfo(np.int32).max
_LONG = 2**30  # a run is not counted on past this: at 1 kHz it takes twelve days


@dataclass(frozen=True, slots=True)
class QualityRuns:
    """Runs of bad rows; a sensor is bad where its run reaches its limit."""

    runs: tuple[Counts, ...]  # one (row, sensor) for each of CONDITIONS
    limits: tuple[Ints, ...]  # one (sensor,) for each of CONDITIONS
    invalid: Bools  # (row, sensor) masked for the model

    def mask(self, values: Floats) -> Floats:
        """Values (row, sensor) with NaN in invalid cells."""
        return np.where(self.invalid, np.float32(np.nan), values) if self.invalid.any() else values

    @property
    def unusual(self) -> Bools:
        """(row,): a sensor is masked, or has been missing for as long as it takes to alarm."""
        missing = CONDITIONS.index(Condition.MISSING)
        return np.asarray((self.invalid | (self.runs[missing] >= self.limits[missing])).any(axis=1))


class QualityMonitor:
    """The quality memory of many assets: about 16 bytes a sensor and asset."""

    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sensors: tuple[Sensor, ...], missing_rows: int, range_rows: int, capacity: int = 64) -> None:
        self._sensors = sensors
        self._low = _limits([s.low for s in sensors], -np.inf)
        self._high = _limits([s.high for s in sensors], np.inf)
        self.last: Floats = np.full((capacity, len(sensors)), np.nan, np.float32)
        self.runs: Counts = np.zeros((len(CONDITIONS), capacity, len(sensors)), np.int32)
        self.configure(missing_rows, range_rows)

    def configure(self, missing_rows: int, range_rows: int) -> None:
        """Takes up other limits; runs go on."""
        stuck = np.array([_NEVER if s.stuck_rows is None else s.stuck_rows - 1 for s in self._sensors], np.int64)
        self._run_limits = (stuck, np.full(len(stuck), missing_rows), np.full(len(stuck), range_rows))

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        self.last = grown(self.last, capacity, np.nan)
        self.runs = grown(self.runs, capacity, 0, axis=1)

    def forget(self, slots: Ints) -> None:
        """Empties slots for their next owners."""
        self.last[slots] = np.nan
        self.runs[:, slots] = 0

    def adopt(self, old: "QualityMonitor") -> None:
        """Takes over the runs of the same sensors."""
        self.last, self.runs = old.last, old.runs

    def reorder(self, columns: Ints) -> None:
        """Other sensors, or another order: column i becomes what columns[i] was; below 0: it begins anew."""
        self.last, self.runs = self.last[:, columns], self.runs[:, :, columns]
        self.last[:, columns < 0], self.runs[:, :, columns < 0] = np.nan, 0

    def dump(self, slots: Ints) -> Columns:
        """last: float32 (sensor,); runs: int32 (condition, sensor)."""
        return {"last": pack(self.last[slots]), "runs": pack(self.runs[:, slots].swapaxes(0, 1))}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up the runs of the same sensors. Raises ValueError for arrays of another form, and runs below 0."""
        shape = (len(CONDITIONS), len(self._sensors))
        runs = unpack(columns["runs"], np.int32, shape)
        if runs.min(initial=0) < 0:
            raise ValueError("the checkpoint has a run of a negative length")
        self.last[slots] = unpack(columns["last"], np.float32, shape[1:])
        self.runs[:, slots] = runs.swapaxes(0, 1)

    def advance(self, slots: Ints, values: Floats) -> QualityRuns:
        """Judges rows sorted by slot, in time order within a slot. values: (row, sensor)."""
        first = first_of_runs(slots)
        before = previous(values, first, self.last[slots[first]])
        missing = np.isnan(values)
        marks = (values == before, missing, (values < self._low) | (values > self._high))
        ends = last_of_runs(first)
        owners = slots[ends]
        runs = []
        for condition, mark in enumerate(marks):
            run = _run_lengths(mark, first, self.runs[condition][slots])
            self.runs[condition][owners] = run[ends]
            runs.append(run)
        self.last[owners] = values[ends]
        invalid = marks[2] | (runs[0] >= self._run_limits[0])
        return QualityRuns(tuple(runs), self._run_limits, invalid)


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
