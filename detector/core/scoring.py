"""From the graph's outputs to one score per window, with memory per asset where the bundle asks for it.

The chain, as `Scoring` in the manifest states it: sensor error (standardised residual of the last row) -> EWMA of the
vector -> Mahalanobis distance -> EWMA of the score. A sum does the same for several vectors side by side, and adds up
what each comes to. The EWMA of a residual vector before a Mahalanobis distance is the
multivariate EWMA chart of Lowry, Woodall, Champ & Rigdon (1992). The daemon, `backtest`, `evaluate` and the trainer's
calibration all call this one module.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints
from detector.core.component import Columns, grown, pack, unpack
from detector.core.distance import contributions, mahalanobis, shares
from detector.core.ewma import ewma
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
    """Rounds to `digits` significant decimal digits; 0 stays 0.

    >>> significant(np.array([1234567.8, 0.0, -0.00012345678])).tolist()
    [1234570.0, 0.0, -0.000123457]
    """
    size = np.abs(values)
    magnitude = np.floor(np.log10(np.where(size < 1e-290, 1.0, size)))
    # A negative power of ten is no double: scale by exact powers on the side that is one.
    shift = digits - 1 - magnitude
    up = 10.0 ** np.maximum(shift, 0)
    down = 10.0 ** np.maximum(-shift, 0)
    return np.asarray(np.rint(values * up / down) / up * down, np.float64)


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
        return mahalanobis(mine - self.center, self.precision) if len(self.center) else mine[:, 0]

    def contributions(self, vectors: Doubles) -> Doubles:
        """Signed shares by sensor, (row, column)."""
        return contributions(vectors[:, self.columns] - self.center, self.precision)


class ScoreSmoother:
    """The scoring memory of many assets: `vector` (slot, column) and `ewma` (slot,), NaN = nothing yet."""

    depends_on: ClassVar[tuple[str, ...]] = ("sensors", "model_version")

    def __init__(self, scoring: Scoring, sensors: int, capacity: int = 64) -> None:
        self.scoring = scoring
        self._components = _layout(scoring)
        widths = [component.width for component in scoring.components]
        self._alpha: Doubles = np.repeat([component.vector_alpha for component in scoring.components], widths)
        self.vector: Doubles = np.zeros((capacity, sum(widths) or sensors))
        self.ewma: Doubles = np.full(capacity, np.nan)

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        self.vector, self.ewma = grown(self.vector, capacity, 0), grown(self.ewma, capacity, np.nan)

    def forget(self, slots: Ints) -> None:
        """Empties the memory of slots: after a gap, a clock reset, or for a new owner."""
        self.vector[slots], self.ewma[slots] = 0.0, np.nan

    def adopt(self, old: "ScoreSmoother") -> None:
        """Takes over nothing: another version's residuals and scores have another size, so memory begins anew."""

    def dump(self, slots: Ints) -> Columns:
        """vector: float64 (column,); level: the smoothed score, None before the first."""
        levels = self.ewma[slots].tolist()
        return {"vector": pack(self.vector[slots]), "level": [None if np.isnan(level) else level for level in levels]}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up the memory of the same version. Raises ValueError for arrays of another form."""
        self.vector[slots] = unpack(columns["vector"], np.float64, self.vector.shape[1:], missing=False)
        self.ewma[slots] = [np.nan if level is None else level for level in columns["level"]]

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
            memory: Doubles = self.ewma[:, None]  # a view: the average goes into `self.ewma`
            scores = ewma(memory, slots, scores[:, None], reset_before, self.scoring.score_alpha, start=np.nan)[:, 0]
            scores = significant(scores)
        return scores, vectors

    def contributions(self, vectors: Doubles, errors: Doubles) -> Doubles:
        """Signed shares of the score by sensor, (row, sensor), absolute values summing to 1.

        vectors: as `advance` gives them; errors: (row, sensor) the graph's `sensor_error`, which speaks where no
        component of the score has a column a sensor. A component of a sum counts for as much as it adds.
        """
        known = [each for each in self._components if len(each.center)]
        if not known:
            return shares(errors**2 * np.sign(errors))
        if len(known) == 1:
            return known[0].contributions(vectors)
        added = (each.contributions(vectors) * (each.distance(vectors) / each.scale)[:, None] for each in known)
        return shares(sum(added, np.zeros_like(errors)))

    def _smoothed(self, slots: Ints, raw: Doubles, reset_before: Bools) -> Doubles:
        """The EWMA of the vectors; columns that no component wants smoothed have no memory."""
        if self.scoring.method == "mahalanobis":
            return ewma(self.vector, slots, raw, reset_before, self.scoring.vector_alpha, start=0.0)
        kept = np.flatnonzero(self._alpha < 1)
        if len(kept):
            memory = self.vector[:, kept]
            raw[:, kept] = ewma(memory, slots, raw[:, kept], reset_before, self._alpha[kept], start=0.0)
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
