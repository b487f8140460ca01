"""The components of a score, window by window: their standardised vectors, and how far off each vector is.

Values are measured by their Mahalanobis distance, which knows how the sensors move together. A network has taken out
how they move together, and what is left of it in its residuals may be an accident of the history. So residuals are
measured in two ways at once: by that distance, and by each sensor alone. Either is divided by its own 95th percentile
on held-out windows, and their squares are added. The result is one quadratic form again, and the detector need not
know of it.
"""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints
from detector.core.distance import mahalanobis
from detector.core.rounding import nine_digits
from detector.core.scoring import ScoreSmoother
from schemas.manifest import ComponentName, ScoreComponent, Scoring
from trainer.fitting.outputs import FoldOutputs
from trainer.graph.components import DISTANCES, ERROR_LIMIT, Standard
from trainer.networks.interface import MIN_SD
from trainer.scoring.covariance import smoothed_covariance, weighted_precision

SCALE_QUANTILE = 0.95  # of held-out windows: what a component is divided by
MIN_SCALE = 1e-3  # of a component that is always 0
Statistics = tuple[Doubles, Doubles]  # mean (column,) and covariance (column, column) of smoothed vectors
Form = tuple[Doubles, Doubles]  # center and precision; both empty for a component that is a distance already


@dataclass(frozen=True, slots=True)
class HeldOutComponents:
    """The components of held-out windows, by asset and in time order within one."""

    slots: Ints  # (window,)
    reset_before: Bools  # (window,) memory is empty before it
    block: Ints  # (window,) held-out block
    vectors: dict[ComponentName, Floats]  # (window, sensor) or (window, 1)

    def smoothed_vectors(self, name: ComponentName, alpha: float) -> Doubles:
        """The EWMA of a component's vector, through the detector's own smoother."""
        raw = self.vectors[name]
        width = raw.shape[1]
        zeros, ones = (0.0,) * width, tuple(map(tuple, np.eye(width).tolist()))
        component = ScoreComponent(name=name, width=width, vector_alpha=alpha, center=zeros, precision=ones, scale=1.0)
        return smooth(Scoring(method="sum", components=(component,)), self.slots, raw, self.reset_before)[1]

    def smoothed_scores(self, distances: Doubles, alpha: float) -> Doubles:
        """The EWMA of a score (window,)."""
        raw = np.asarray(distances[:, None], np.float32)
        return smooth(Scoring(method="graph", score_alpha=alpha), self.slots, raw, self.reset_before)[0]


@dataclass(frozen=True, slots=True)
class CalibratedComponent:
    """What a component is measured by: for each held-out block the other blocks' statistics, and those of all."""

    name: ComponentName
    alpha: float
    others: dict[int, Form]  # by block
    whole: Form
    scale: float
    held_out: Doubles  # (window,) distances / scale of the held-out windows

    def distances(self, components: HeldOutComponents) -> Doubles:
        """Distances / scale of windows (window,), each block's by the other blocks' statistics."""
        vectors = components.smoothed_vectors(self.name, self.alpha)
        return _distances(components.block, vectors, self.others) / self.scale

    def component(self) -> ScoreComponent:
        """As the bundle has it."""
        center, precision = self.whole
        return ScoreComponent(
            name=self.name,
            width=len(center) or 1,
            vector_alpha=self.alpha,
            center=tuple(map(nine_digits, center.tolist())),
            precision=tuple(tuple(map(nine_digits, row)) for row in precision.tolist()),
            scale=nine_digits(self.scale),
        )


def smooth(scoring: Scoring, slots: Ints, raw: Floats, reset_before: Bools) -> tuple[Doubles, Doubles]:
    """Scores (window,) and smoothed vectors (window, column) of windows, through the detector's own smoother."""
    smoother = ScoreSmoother(scoring, raw.shape[1], int(slots.max()) + 1)
    return smoother.advance(slots, raw, reset_before)


def standards_of(outputs: FoldOutputs, constant: Bools) -> dict[ComponentName, Standard]:
    """What each component's vector is divided by: residuals by their typical size, values also less their mean.

    constant: (sensor,) sensors that never moved in training.
    """
    count = np.maximum(outputs.present.sum(axis=0), 1)
    found: dict[ComponentName, Standard] = {}
    for name, raw in outputs.components.items():
        if name in DISTANCES:
            continue
        vectors = np.where(outputs.present, raw, 0.0)
        shift = vectors.sum(axis=0) / count if name == "values" else np.zeros(len(count))
        size = np.sqrt((np.where(outputs.present, vectors - shift, 0.0) ** 2).sum(axis=0) / count)
        # Of a constant sensor no spread is known: its error stays in engineering units.
        found[name] = Standard(shift, np.asarray(np.where(constant, 1.0, np.maximum(size, MIN_SD))))
    return found


def standardised(outputs: FoldOutputs, standards: dict[ComponentName, Standard]) -> dict[ComponentName, Floats]:
    """What the graph's output `parts` would be, component by component."""
    vectors = {}
    for name, raw in outputs.components.items():
        if name in standards:
            scaled = np.where(outputs.present, (raw - standards[name].shift) / standards[name].size, 0.0)
            vectors[name] = np.asarray(np.clip(scaled, -ERROR_LIMIT, ERROR_LIMIT), np.float32)
        else:
            vectors[name] = np.asarray(raw, np.float32)
    return vectors


def calibrate_component(
    held: HeldOutComponents, name: ComponentName, alpha: float, weights: Doubles
) -> CalibratedComponent:
    """Calibrates a component on held-out windows. weights: (sensor,), for components with a column a sensor."""
    vectors = held.smoothed_vectors(name, alpha)
    blocks = np.unique(held.block).tolist()
    if name in DISTANCES:
        empty = np.empty(0), np.empty((0, 0))
        others, whole = dict.fromkeys(blocks, empty), empty
    else:
        statistics = {block: _statistics(vectors[held.block != block], alpha) for block in blocks}
        others, whole = _forms(held.block, vectors, statistics, _statistics(vectors, alpha), weights, name)
    distances = _distances(held.block, vectors, others)
    scale = _scale_of(distances)
    return CalibratedComponent(name, alpha, others, whole, scale, distances / scale)


def _forms(
    block: Ints,
    vectors: Doubles,
    others: dict[int, Statistics],
    whole: Statistics,
    weights: Doubles,
    name: ComponentName,
) -> tuple[dict[int, Form], Form]:
    """Quadratic forms: by the sensors jointly and, but for values, also by each alone.

    others: by block, the statistics of the other blocks; whole: of all.
    """
    kinds = (weighted_precision,) if name == "values" else (weighted_precision, _separate_precision)
    scaled: list[tuple[dict[int, Doubles], Doubles]] = []
    for kind in kinds:
        precisions = {number: kind(covariance, weights) for number, (_, covariance) in others.items()}
        forms = {number: (others[number][0], precision) for number, precision in precisions.items()}
        square = _scale_of(_distances(block, vectors, forms)) ** 2
        scaled.append(({n: p / square for n, p in precisions.items()}, kind(whole[1], weights) / square))
    added = {number: (others[number][0], np.sum([each[number] for each, _ in scaled], axis=0)) for number in others}
    return added, (whole[0], np.sum([precision for _, precision in scaled], axis=0))


def _separate_precision(covariance: Doubles, weights: Doubles) -> Doubles:
    """The precision of each sensor alone."""
    return np.diag(weights**2 / np.diag(covariance))


def _statistics(vectors: Doubles, alpha: float) -> Statistics:
    """Of smoothed vectors (window, column)."""
    return vectors.mean(axis=0), smoothed_covariance(vectors, alpha)


def _scale_of(distances: Doubles) -> float:
    return max(float(np.quantile(distances, SCALE_QUANTILE)), MIN_SCALE)


def _distances(block: Ints, vectors: Doubles, forms: dict[int, Form]) -> Doubles:
    """Distances (window,) of smoothed vectors, each block's by its own form."""
    distances = np.empty(len(vectors))
    for number in np.unique(block).tolist():
        mine = block == number
        center, precision = forms[number]
        distances[mine] = mahalanobis(vectors[mine] - center, precision) if len(center) else vectors[mine, 0]
    return distances
