"""From held-out residuals to the numbers that make an alarm: residual sizes, the scoring chain, the threshold.

Nothing is judged by what it was fitted on. Each block of the history is scored by a network that never saw it, and by
a centre and a covariance estimated on the other blocks; the threshold is set on these scores. The bundle then carries
the network fitted last and the covariance of all blocks.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints
from schemas.manifest import Scoring
from schemas.training import Training
from trainer.fitting.members import FoldOutputs, joined
from trainer.graph.parts import ERROR_LIMIT, Standard
from trainer.networks.losses import squares
from trainer.scoring.components import advance, joint_precision, nine_digits
from trainer.scoring.covariance import shrunk_covariance


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Windows that the scoring network was not fitted on, by asset and in time order within one."""

    windows: Ints  # (window,) numbers of the replay
    slots: Ints  # (window,)
    reset_before: Bools  # (window,) memory is empty before it
    block: Ints  # (window,) held-out block
    outputs: FoldOutputs  # of the network that never saw these windows


def join(blocks: list[HeldOut]) -> HeldOut:
    """The blocks of all folds, in the replay's own order; a single block is cut into two halves in time."""
    order = np.argsort(np.concatenate([block.windows for block in blocks]), kind="stable")
    names = [field.name for field in fields(HeldOut) if field.name != "outputs"]
    cells = {name: np.concatenate([getattr(block, name) for block in blocks])[order] for name in names}
    held = HeldOut(**cells, outputs=joined([block.outputs for block in blocks]).at(order))
    return held if len(blocks) > 1 else replace(held, block=_halves(held.slots))


def standard_errors(outputs: FoldOutputs, by: Standard) -> Floats:
    """What the graph's `sensor_error` would be, (window, sensor)."""
    return np.asarray(np.clip(outputs.parts["residual"] / by.size, -ERROR_LIMIT, ERROR_LIMIT), np.float32)


def window_scores(outputs: FoldOutputs, sizes: Doubles, loss: str) -> Floats:
    """What the graph's `score` would be, (window, 1). sizes: (sensor,) that residuals are divided by."""
    unit = sizes**2 if squares(loss) else sizes
    total = (outputs.spread / unit).sum(axis=1) + outputs.uncertainty
    return np.asarray(total / np.maximum(outputs.count, 1), np.float32)[:, None]


def calibrate_chain(held: HeldOut, raw: Floats, weights: Doubles, training: Training) -> tuple[Scoring, Doubles]:
    """The chain's numbers, and the held-out scores (window,) that the threshold is set on, where the score is no sum.

    raw: (window, sensor) standard errors for mahalanobis, else (window, 1) graph scores; weights: (sensor,).
    """
    if training.score != "mahalanobis":
        scoring = Scoring(method="graph", score_alpha=training.score_alpha)
        return scoring, advance(scoring, held.slots, raw, held.reset_before)[0]
    smooth = _scoring(np.zeros(raw.shape[1]), np.eye(raw.shape[1]), training)
    vectors = advance(smooth, held.slots, raw, held.reset_before)[1]
    scores = np.empty(len(raw))
    for number in np.unique(held.block):
        mine = held.block == number
        others = _scatter(vectors[~mine], weights, training)
        scores[mine] = advance(others, held.slots, raw, held.reset_before)[0][mine]
    return _scatter(vectors, weights, training), scores


def _scatter(vectors: Doubles, weights: Doubles, training: Training) -> Scoring:
    """Centre and weighted precision of smoothed vectors."""
    # Even white noise of unit variance keeps this variance after the EWMA: below it a sensor would only look
    # predictable because the history is short.
    least = training.vector_alpha / (2 - training.vector_alpha)
    precision = joint_precision(shrunk_covariance(vectors, least), weights)
    return _scoring(vectors.mean(axis=0), precision, training)


def _scoring(center: Doubles, precision: Doubles, training: Training) -> Scoring:
    return Scoring(
        method="mahalanobis",
        vector_alpha=training.vector_alpha,
        center=tuple(nine_digits(v) for v in center.tolist()),
        precision=tuple(tuple(nine_digits(v) for v in row) for row in precision.tolist()),
        score_alpha=training.score_alpha,
    )


def _halves(slots: Ints) -> Ints:
    """Two halves in time of each asset's windows."""
    count = np.bincount(slots)
    rank = np.arange(len(slots)) - np.concatenate([[0], np.cumsum(count)])[slots]
    return np.asarray(rank * 2 // np.maximum(count[slots], 1), np.int64)
