"""From the graph's outputs to one score per window, with memory per asset where the bundle asks for it.

The chain, as `Scoring` in the manifest states it: sensor error (standardised residual of the last row) -> EWMA of the
vector -> Mahalanobis distance -> EWMA of the score. A sum does the same for several vectors side by side, and adds up
what each comes to. The EWMA of a residual vector before a Mahalanobis distance is the
multivariate EWMA chart of Lowry, Woodall, Champ & Rigdon (1992). The daemon, `backtest`, `evaluate` and the trainer's
calibration all call this one module.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints, first_of_runs
from schemas.manifest import Manifest, Scoring

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

    def parts(self, windows: Floats) -> Floats:
        """The vectors that a sum is of, side by side, (batch, column); asked of bundles whose score is a sum."""
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


def mahalanobis(deviations: Doubles, precision: Doubles) -> Doubles:
    """The distances (row,) of deviations (row, column) from a centre, under a precision (column, column)."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,ij->i", deviations @ precision, deviations), 0.0)))


@dataclass(frozen=True, slots=True)
class _Component:
    """A component of a sum, or the one vector of the Mahalanobis method, and where its columns are."""

    columns: slice
    center: Doubles  # (column,); empty: the single column is the distance
    precision: Doubles
    scale: float

    def distance(self, vectors: Doubles) -> Doubles:
        """Of smoothed vectors (row, all columns), (row,)."""
        mine = vectors[:, self.columns]
        if not len(self.center):
            return mine[:, 0]
        return mahalanobis(mine - self.center, self.precision)

    def contributions(self, vectors: Doubles) -> Doubles:
        """Signed shares by sensor, (row, column), absolute values summing to 1.

        How much of the distance a change of that sensor alone would explain, (Px)_i^2 / P_ii (reconstruction-based
        contributions, Alcala & Qin 2009); terms of the quadratic form smear over neighbours.
        """
        pull = (vectors[:, self.columns] - self.center) @ self.precision
        return _shares(pull**2 / np.diag(self.precision) * np.sign(pull))


class ScoreSmoother:
    """The scoring memory of many assets: `vector` (slot, column) and `level` (slot,), NaN = nothing yet."""

    def __init__(self, scoring: Scoring, sensors: int, capacity: int = 64) -> None:
        self.scoring = scoring
        self._components = _layout(scoring)
        widths = [component.width for component in scoring.components]
        self._alpha: Doubles = np.repeat([component.vector_alpha for component in scoring.components], widths)
        self.vector: Doubles = np.zeros((capacity, sum(widths) or sensors))
        self.ewma: Doubles = np.full(capacity, np.nan)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        more = capacity - len(self.ewma)
        if more > 0:
            self.vector = np.concatenate([self.vector, np.zeros((more, self.vector.shape[1]))])
            self.ewma = np.concatenate([self.ewma, np.full(more, np.nan)])

    def forget(self, slots: Ints | int) -> None:
        """Empties the memory of slots: after a gap, a clock reset, or for a new owner."""
        self.vector[slots] = 0.0
        self.ewma[slots] = np.nan

    @property
    def width(self) -> int:
        """Columns of what the graph is asked for."""
        return 1 if self.scoring.method == "graph" else self.vector.shape[1]

    def ask(self, scorer: Scorer, windows: Floats) -> Floats:
        """What `advance` takes of windows, (batch, column)."""
        if self.scoring.method == "sum":
            return scorer.parts(windows)
        return scorer.sensor_error(windows) if self.scoring.method == "mahalanobis" else scorer.score(windows)[:, None]

    def advance(self, slots: Ints, raw: Floats, reset_before: Bools) -> tuple[Doubles, Doubles]:
        """Scores of windows sorted by slot, in time order within a slot.

        raw: (row, column) as `ask` gives it; reset_before: rows before which memory is emptied.
        Gives (scores (row,), smoothed vectors (row, column) or raw where the method has none).
        """
        vectors = np.asarray(raw, np.float64)
        if self.scoring.method == "graph":
            distance: Doubles = vectors[:, 0]
        else:
            vectors = self._smoothed(slots, np.asarray(np.round(vectors, ERROR_DECIMALS), np.float64), reset_before)
            distance = sum((each.distance(vectors) / each.scale for each in self._components), np.zeros(len(vectors)))
        scores = significant(distance)
        if self.scoring.score_alpha < 1:
            level: Doubles = self.ewma[:, None]
            scores = _ewma(level, slots, scores[:, None], reset_before, self.scoring.score_alpha, start=np.nan)[:, 0]
            self.ewma = level[:, 0]
            scores = significant(scores)
        return scores, vectors

    def contributions(self, vectors: Doubles, errors: Doubles) -> Doubles:
        """Signed shares of the score by sensor, (row, sensor), absolute values summing to 1.

        vectors: as `advance` gives them; errors: (row, sensor) the graph's `sensor_error`, which speaks where no
        component of the score has a column a sensor. A component of a sum counts for as much as it adds.
        """
        known = [each for each in self._components if len(each.center)]
        if not known:
            return _shares(errors**2 * np.sign(errors))
        if len(known) == 1:
            return known[0].contributions(vectors)
        added = (each.contributions(vectors) * (each.distance(vectors) / each.scale)[:, None] for each in known)
        return _shares(sum(added, np.zeros_like(errors)))

    def _smoothed(self, slots: Ints, raw: Doubles, reset_before: Bools) -> Doubles:
        """The EWMA of the vectors; columns that no component wants smoothed have no memory."""
        if self.scoring.method == "mahalanobis":
            return _ewma(self.vector, slots, raw, reset_before, self.scoring.vector_alpha, start=0.0)
        kept = np.flatnonzero(self._alpha < 1)
        if len(kept):
            memory = self.vector[:, kept]
            raw[:, kept] = _ewma(memory, slots, raw[:, kept], reset_before, self._alpha[kept], start=0.0)
            self.vector[:, kept] = memory
        return raw


def _layout(scoring: Scoring) -> tuple[_Component, ...]:
    if scoring.method == "mahalanobis":
        whole = slice(0, len(scoring.center))
        return (_Component(whole, np.asarray(scoring.center), np.asarray(scoring.precision), 1.0),)
    components, begin = [], 0
    for each in scoring.components:
        columns = slice(begin, begin + each.width)
        components.append(_Component(columns, np.asarray(each.center), np.asarray(each.precision), each.scale))
        begin += each.width
    return tuple(components)


def _shares(weight: Doubles) -> Doubles:
    """Rows scaled so that absolute values sum to 1; rows of nothing stay 0."""
    total = np.abs(weight).sum(axis=1, keepdims=True)
    return np.asarray(weight / np.where(total > 0, total, 1.0))


def _ewma(
    memory: Doubles, slots: Ints, inputs: Doubles, reset_before: Bools, alpha: float | Doubles, start: float
) -> Doubles:
    """Runs x <- x + alpha * (input - x) along each slot's rows, all slots in step; updates `memory` in place.

    alpha: one for all, or one a column.

    A memory of NaN takes its first input; `start` is what a row with `reset_before` begins from. Step by step and
    not by a filter over blocks: the result must not depend on how rows fell into polls. Inputs are finite.
    """
    if not len(slots):
        return np.empty_like(inputs)
    first = first_of_runs(slots)
    begins = np.flatnonzero(first | reset_before)  # after a reset a row depends on nothing before it
    length = np.diff(np.r_[begins, len(slots)])
    rank = np.empty(len(begins), np.int64)
    rank[np.argsort(-length, kind="stable")] = np.arange(len(begins))
    step = np.arange(len(slots)) - np.repeat(begins, length)
    # Step by step, longest segment first: each step is then one block, and its predecessors the beginning of the last.
    order = np.lexsort((np.repeat(rank, length), step))
    blocks = inputs[order]
    ends = np.cumsum(np.bincount(step)).tolist()
    heads = order[: ends[0]]
    before = np.where(reset_before[heads, None], start, memory[slots[heads]])
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


def _blend(block: Doubles, before: Doubles, alpha: float | Doubles) -> None:
    """Replaces inputs by `before + alpha * (input - before)`, without a temporary: it is called for every step."""
    block -= before
    block *= alpha
    block += before


def _follow(rows: Doubles, before: Doubles, alpha: float | Doubles) -> None:
    """The same for what is left of the longest segment: plain floats are faster than arrays of one row."""
    alphas = np.broadcast_to(alpha, before.shape).tolist()
    for column, share in enumerate(alphas):
        now = float(before[column])
        inputs = rows[:, column].tolist()
        for row, given in enumerate(inputs):
            now += (given - now) * share
            inputs[row] = now
        rows[:, column] = inputs
