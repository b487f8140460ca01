"""The chain without a model: the detector's own smoothing and Mahalanobis distance, on the values themselves.

What a network must beat: everything else that the product does is here as well.
"""

import numpy as np

from detector.core.arrays import Doubles
from schemas.manifest import Scoring
from trainer.evaluation.baselines.interface import Score
from trainer.scoring.components import smooth
from trainer.scoring.covariance import drift_weights, smoothed_covariance, weighted_precision

VECTOR_ALPHA, SCORE_ALPHA = 0.35, 0.2  # about the last 5 rows, and the last 10


def chain(known: list[Doubles], seed: int) -> Score:
    """Learns how normal values scatter; the score is the smoothed distance from them."""
    del seed
    sensors = known[0].shape[1]
    plain = Scoring(
        method="mahalanobis", vector_alpha=VECTOR_ALPHA, center=(0.0,) * sensors, precision=_nested(np.eye(sensors))
    )
    vectors = np.concatenate([_smooth(plain, rows)[1] for rows in known])
    weights = drift_weights(known)
    precision = weighted_precision(smoothed_covariance(vectors, VECTOR_ALPHA), weights)
    scoring = Scoring(
        method="mahalanobis",
        vector_alpha=VECTOR_ALPHA,
        center=tuple(vectors.mean(axis=0).tolist()),
        precision=_nested(precision),
        score_alpha=SCORE_ALPHA,
    )
    return lambda rows: _smooth(scoring, rows)[0]


def _smooth(scoring: Scoring, rows: Doubles) -> tuple[Doubles, Doubles]:
    reset_before = np.zeros(len(rows), bool)
    reset_before[:1] = True
    slots = np.zeros(len(rows), np.int64)
    return smooth(scoring, slots, rows.astype(np.float32), reset_before)


def _nested(matrix: Doubles) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
