"""What a score is made of, window by window: the parts' standardised vectors, and how far off each of them is.

The values are judged by their Mahalanobis distance, which knows how the sensors move together. A network's residuals
are judged in two ways at once, since it has taken out how they move together and what is left of it may be an accident
of the history: by that distance and by each sensor alone. Either is divided by its own 95th percentile on held-out
windows, and their squares are added: that is one quadratic form again, so the detector knows nothing of it.
"""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints
from detector.core.scoring import ScoreSmoother
from schemas.manifest import ComponentName, ScoreComponent, Scoring
from trainer.fitting.members import FoldOutputs
from trainer.graph.parts import DISTANCES, ERROR_LIMIT, Standard
from trainer.networks.interface import MIN_SD
from trainer.scoring.covariance import shrunk_covariance

SCALE_QUANTILE = 0.95  # the quantile of held-out windows that a part is divided by
MIN_SCALE = 1e-3  # of a part that is always 0
Form = tuple[Doubles, Doubles]  # center and precision; both empty for a part that is a distance already


@dataclass(frozen=True, slots=True)
class HeldOutComponents:
    """Held-out windows by asset and in time order within one."""

    slots: Ints  # (window,)
    reset_before: Bools  # (window,) memory is empty before it
    block: Ints  # (window,) held-out block
    vectors: dict[ComponentName, Floats]  # (window, sensor) or (window, 1)

    def smoothed_vectors(self, name: ComponentName, alpha: float) -> Doubles:
        """The EWMA of a part's vector, through the detector's own chain."""
        raw = self.vectors[name]
        width = raw.shape[1]
        zeros, ones = (0.0,) * width, tuple(map(tuple, np.eye(width).tolist()))
        component = ScoreComponent(name=name, width=width, vector_alpha=alpha, center=zeros, precision=ones, scale=1.0)
        return advance(Scoring(method="sum", components=(component,)), self.slots, raw, self.reset_before)[1]

    def smoothed_scores(self, distances: Doubles, alpha: float) -> Doubles:
        """The EWMA of a score (window,)."""
        raw = np.asarray(distances[:, None], np.float32)
        return advance(Scoring(method="graph", score_alpha=alpha), self.slots, raw, self.reset_before)[0]


@dataclass(frozen=True, slots=True)
class CalibratedComponent:
    """What a part is judged by: for each held-out block the statistics of the other blocks, and those of all."""

    name: ComponentName
    alpha: float
    others: dict[int, Form]  # by block
    whole: Form
    scale: float
    usual: Doubles  # (window,) held-out distances / scale

    def measure(self, components: HeldOutComponents) -> Doubles:
        """Distances / scale of windows (window,), each block by the others' statistics."""
        return _by_block(components, components.smoothed_vectors(self.name, self.alpha), self.others) / self.scale

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


def advance(scoring: Scoring, slots: Ints, raw: Floats, reset_before: Bools) -> tuple[Doubles, Doubles]:
    """Scores (window,) and smoothed vectors (window, column) of windows, through the detector's own chain."""
    smoother = ScoreSmoother(scoring, raw.shape[1], int(slots.max()) + 1)
    return smoother.advance(slots, raw, reset_before)


def standards(outputs: FoldOutputs, constant: Bools) -> dict[ComponentName, Standard]:
    """What each part's vector is measured by: residuals by their typical size, values also by their mean."""
    count = np.maximum(outputs.present.sum(axis=0), 1)
    found: dict[ComponentName, Standard] = {}
    for name, raw in outputs.parts.items():
        if name in DISTANCES:
            continue
        vectors = np.where(outputs.present, raw, 0.0)
        shift = vectors.sum(axis=0) / count if name == "values" else np.zeros(len(count))
        size = np.sqrt((np.where(outputs.present, vectors - shift, 0.0) ** 2).sum(axis=0) / count)
        # Of a constant sensor no spread is known: its error stays in engineering units.
        found[name] = Standard(shift, np.asarray(np.where(constant, 1.0, np.maximum(size, MIN_SD))))
    return found


def standardised(outputs: FoldOutputs, by: dict[ComponentName, Standard]) -> dict[ComponentName, Floats]:
    """What the graph's `parts` would be, part by part."""
    vectors = {}
    for name, raw in outputs.parts.items():
        if name in by:
            scaled = np.where(outputs.present, (raw - by[name].shift) / by[name].size, 0.0)
            vectors[name] = np.asarray(np.clip(scaled, -ERROR_LIMIT, ERROR_LIMIT), np.float32)
        else:
            vectors[name] = np.asarray(raw, np.float32)
    return vectors


def calibrate_component(
    components: HeldOutComponents, name: ComponentName, alpha: float, weights: Doubles
) -> CalibratedComponent:
    """Judges a part on held-out windows. weights: (sensor,) of the sensors, for parts that have one column each."""
    vectors = components.smoothed_vectors(name, alpha)
    blocks = np.unique(components.block).tolist()
    if name in DISTANCES:
        nothing = np.empty(0), np.empty((0, 0))
        return _scaled(name, alpha, dict.fromkeys(blocks, nothing), nothing, vectors[:, 0])
    known = {block: _statistics(vectors[components.block != block], alpha) for block in blocks}
    known[-1] = _statistics(vectors, alpha)
    forms: dict[int, list[Form]] = {block: [] for block in known}
    for kind in (joint_precision,) if name == "values" else (joint_precision, separate_precision):
        said = {block: (center, kind(covariance, weights)) for block, (center, covariance) in known.items()}
        usual = _usual(_by_block(components, vectors, said))
        for block, (center, precision) in said.items():
            forms[block].append((center, precision / usual**2))
    added = {block: (found[0][0], np.sum([form for _, form in found], axis=0)) for block, found in forms.items()}
    whole = added.pop(-1)
    return _scaled(name, alpha, added, whole, _by_block(components, vectors, added))


def joint_precision(covariance: Doubles, weights: Doubles) -> Doubles:
    """The precision of the Mahalanobis distance."""
    precision = np.linalg.inv(covariance)
    return np.asarray(weights[:, None] * (precision + precision.T) / 2 * weights)


def separate_precision(covariance: Doubles, weights: Doubles) -> Doubles:
    """The precision of each sensor alone."""
    return np.diag(weights**2 / np.diag(covariance))


def _statistics(vectors: Doubles, alpha: float) -> Form:
    """Mean and covariance of smoothed vectors."""
    # Even white noise of unit variance keeps this variance after the EWMA: below it a sensor would only look
    # predictable because the history is short.
    return vectors.mean(axis=0), shrunk_covariance(vectors, alpha / (2 - alpha))


def _scaled(
    name: ComponentName, alpha: float, others: dict[int, Form], whole: Form, distances: Doubles
) -> CalibratedComponent:
    scale = _usual(distances)
    return CalibratedComponent(name, alpha, others, whole, scale, distances / scale)


def _usual(distances: Doubles) -> float:
    return max(float(np.quantile(distances, SCALE_QUANTILE)), MIN_SCALE)


def _by_block(components: HeldOutComponents, vectors: Doubles, forms: dict[int, Form]) -> Doubles:
    """Distances (window,) of smoothed vectors, each block's by its own form."""
    distances = np.empty(len(vectors))
    for block in np.unique(components.block).tolist():
        mine = components.block == block
        center, precision = forms[block]
        if not len(center):
            distances[mine] = vectors[mine, 0]
            continue
        off = vectors[mine] - center
        distances[mine] = np.sqrt(np.maximum(np.einsum("ij,ij->i", off @ precision, off), 0.0))
    return distances


def nine_digits(value: float) -> float:
    """Nine significant digits: more than float32 holds, and a manifest that can be read."""
    return float(f"{value:.9g}")
