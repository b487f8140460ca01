"""From the graph's outputs to one score per window, with memory per asset where the bundle asks for it.

The chain, as `Scoring` in the manifest states it: sensor error (standardised residual of the last row) -> EWMA of the
vector -> Mahalanobis distance -> EWMA of the score. The EWMA of a residual vector before a Mahalanobis distance is the
multivariate EWMA chart of Lowry, Woodall, Champ & Rigdon (1992). The daemon, `backtest`, `evaluate` and the trainer's
calibration all call this one module.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import Manifest, Scoring

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

SCORE_DIGITS = 6  # onnxruntime promises no bit-equal rows over batch sizes; nothing finer is ever compared
ERROR_DECIMALS = 4  # sensor errors are in standard deviations; rounded before they enter memory


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the graph says of some windows, at their last row."""

    expected: Floats  # (window, sensor) engineering units
    sensor_error: Floats  # (window, sensor) signed, in standard deviations of normal data


class Scorer(Protocol):
    """A loaded bundle. Windows are float32 (batch, window, sensor) in engineering units, NaN = missing."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        ...

    def score(self, windows: Floats) -> Floats:
        """The graph's own score, (batch,); higher is more anomalous."""
        ...

    def sensor_error(self, windows: Floats) -> Floats:
        """Signed standardised residual of each window's last row, (batch, sensor); 0 where missing."""
        ...

    def explain(self, windows: Floats) -> Explanation:
        """What the model expected at each window's last row."""
        ...


def significant(values: Doubles, digits: int = SCORE_DIGITS) -> Doubles:
    """Rounds to `digits` significant decimal digits; 0 stays 0."""
    size = np.abs(values)
    magnitude = np.floor(np.log10(np.where(size < 1e-290, 1.0, size)))
    # A negative power of ten is no double: scale by exact powers on the side that is one.
    shift = digits - 1 - magnitude
    up = 10.0 ** np.maximum(shift, 0)
    down = 10.0 ** np.maximum(-shift, 0)
    return np.asarray(np.rint(values * up / down) / up * down, np.float64)


class Chain:
    """The scoring memory of many assets: `vector` (slot, sensor) and `level` (slot,), NaN = nothing yet."""

    def __init__(self, scoring: Scoring, sensors: int, capacity: int = 64) -> None:
        self.scoring = scoring
        self.vector: Doubles = np.zeros((capacity, sensors))
        self.level: Doubles = np.full(capacity, np.nan)
        self._center = np.asarray(scoring.center, np.float64)
        self._precision = np.asarray(scoring.precision, np.float64)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        more = capacity - len(self.level)
        if more > 0:
            self.vector = np.concatenate([self.vector, np.zeros((more, self.vector.shape[1]))])
            self.level = np.concatenate([self.level, np.full(more, np.nan)])

    def forget(self, slots: Ints | int) -> None:
        """Empties the memory of slots: after a gap, a clock reset, or for a new owner."""
        self.vector[slots] = 0.0
        self.level[slots] = np.nan

    @property
    def wants_errors(self) -> bool:
        """Whether the graph's `sensor_error` is asked for (else its `score`)."""
        return self.scoring.method == "mahalanobis"

    def advance(self, slots: Ints, raw: Floats, fresh: NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
        """Scores of windows sorted by slot, in time order within a slot.

        raw: (row, sensor) sensor errors, or (row, 1) graph scores; fresh: rows before which memory is emptied.
        Gives (scores (row,), smoothed vectors (row, sensor) or raw where the method has none).
        """
        if self.wants_errors:
            errors: Doubles = np.asarray(np.round(np.asarray(raw, np.float64), ERROR_DECIMALS), np.float64)
            vectors = _ewma(self.vector, slots, errors, fresh, self.scoring.vector_alpha, start=0.0)
            off = vectors - self._center
            distance: Doubles = np.sqrt(np.maximum(np.einsum("ij,ij->i", off @ self._precision, off), 0.0))
        else:
            vectors = np.asarray(raw, np.float64)
            distance = vectors[:, 0]
        scores = significant(distance)
        if self.scoring.score_alpha < 1:
            level: Doubles = self.level[:, None]
            scores = _ewma(level, slots, scores[:, None], fresh, self.scoring.score_alpha, start=np.nan)[:, 0]
            self.level = level[:, 0]
            scores = significant(scores)
        return scores, vectors

    def contributions(self, vectors: Doubles) -> Doubles:
        """Signed shares of the score by sensor, (row, sensor), absolute values summing to 1.

        For the Mahalanobis distance: how much of it a change of that sensor alone would explain, (Px)_i^2 / P_ii
        (reconstruction-based contributions, Alcala & Qin 2009); terms of the quadratic form smear over neighbours.
        """
        if not self.wants_errors:
            weight = vectors**2 * np.sign(vectors)
        else:
            pull = (vectors - self._center) @ self._precision
            weight = pull**2 / np.diag(self._precision) * np.sign(pull)
        total = np.abs(weight).sum(axis=1, keepdims=True)
        return np.asarray(weight / np.where(total > 0, total, 1.0))


def _ewma(
    memory: Doubles, slots: Ints, inputs: Doubles, fresh: NDArray[np.bool_], alpha: float, start: float
) -> Doubles:
    """Runs x <- x + alpha * (input - x) along each slot's rows, all slots in step; updates `memory` in place.

    A memory of NaN takes its first input; `start` is what a fresh row begins from. Step by step and not by a filter
    over blocks: the result must not depend on how rows fell into polls. Inputs are finite.
    """
    if not len(slots):
        return np.empty_like(inputs)
    first = np.r_[True, slots[1:] != slots[:-1]]
    begins = np.flatnonzero(first | fresh)  # a fresh row depends on nothing before it: it begins a segment of its own
    length = np.diff(np.r_[begins, len(slots)])
    rank = np.empty(len(begins), np.int64)
    rank[np.argsort(-length, kind="stable")] = np.arange(len(begins))
    step = np.arange(len(slots)) - np.repeat(begins, length)
    # Step by step, longest segment first: each step is then one block, and its predecessors the beginning of the last.
    order = np.lexsort((np.repeat(rank, length), step))
    blocks = inputs[order]
    ends = np.cumsum(np.bincount(step)).tolist()
    heads = order[: ends[0]]
    before = np.where(fresh[heads, None], start, memory[slots[heads]])
    _blend(blocks[: ends[0]], np.where(np.isnan(before), blocks[: ends[0]], before), alpha)
    begin, past = 0, ends[0]
    for end in ends[1:]:
        if end - past == 1:
            break
        _blend(blocks[past:end], blocks[begin : begin + end - past], alpha)
        begin, past = past, end
    _follow(blocks[past:], blocks[begin], alpha)
    out = np.empty_like(inputs)
    out[order] = blocks
    lasts = np.flatnonzero(np.r_[first[1:], True])
    memory[slots[lasts]] = out[lasts]
    return out


def _blend(block: Doubles, before: Doubles, alpha: float) -> None:
    """Replaces inputs by `before + alpha * (input - before)`, without a temporary: it is called for every step."""
    block -= before
    block *= alpha
    block += before


def _follow(rows: Doubles, before: Doubles, alpha: float) -> None:
    """The same for what is left of the longest segment: plain floats are faster than arrays of one row."""
    for column in range(rows.shape[1]):
        now = float(before[column])
        inputs = rows[:, column].tolist()
        for row, given in enumerate(inputs):
            now += (given - now) * alpha
            inputs[row] = now
        rows[:, column] = inputs
