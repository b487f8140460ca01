"""From held-out windows to the bundle's score: as it is configured, or chosen where `score: auto` leaves it open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from detector.core.arrays import Doubles, Floats
from detector.core.rounding import nine_digits
from schemas.manifest import Choice, ComponentName, Scoring
from schemas.training import Training
from trainer.fitting.members import FoldModel
from trainer.graph.components import Standard
from trainer.graph.preprocess import Scaling
from trainer.replay.prepare import Prepared
from trainer.scoring.cases import synthetic_cases
from trainer.scoring.components import HeldOutComponents, smooth, standardised
from trainer.scoring.covariance import drift_weights, smoothed_covariance, weighted_precision
from trainer.scoring.held_out import HeldOut, standard_errors, window_scores
from trainer.scoring.selection import SELECTABLE, Candidate, CandidateEvaluator, choose, describe_choice


@dataclass(frozen=True, slots=True)
class CalibratedScore:
    """The bundle's scoring, and how it came about."""

    scoring: Scoring
    scores: Doubles  # (window,) of the held-out windows: the threshold is set on them
    choice: Choice | None = None  # None: the score was configured
    notes: tuple[str, ...] = ()  # for people


def needed_components(training: Training) -> tuple[ComponentName, ...]:
    """The components that every network is fitted with. The residual always: the graph gives it whatever the score."""
    needed = {"residual", *(component.name for component in training.components)}
    if training.score == "auto":
        needed |= {*SELECTABLE} - ({"forecast"} if training.window < 2 else set())
    return tuple(name for name in get_args(ComponentName) if name in needed)


def calibrate_score(
    prepared: Prepared,
    models: Sequence[FoldModel],
    scaling: Scaling,
    held: HeldOut,
    standards: dict[ComponentName, Standard],
) -> CalibratedScore:
    """The score's numbers, and the scores of the held-out windows.

    models: by held-out block, or one for all; scaling: the bundle's; standards: what each component is divided by.
    """
    training = prepared.training
    steadiness = drift_weights([asset.values.astype(np.float64) for asset in prepared.history.assets])
    weights = steadiness * scaling.weight
    if training.score == "mahalanobis":
        errors = standard_errors(held.outputs, standards["residual"])
        return CalibratedScore(*calibrate_mahalanobis(held, errors, weights, training))
    if training.score not in {"auto", "sum"}:
        raw = window_scores(held.outputs, standards["residual"].size / scaling.weight, training.loss)
        scoring = Scoring(method="graph", score_alpha=training.score_alpha)
        return CalibratedScore(scoring, smooth(scoring, held.slots, raw, held.reset_before)[0])
    components = HeldOutComponents(held.slots, held.reset_before, held.block, standardised(held.outputs, standards))
    evaluator = CandidateEvaluator(components, weights)
    if training.score == "sum":
        return CalibratedScore(*evaluator.scoring(Candidate(training.components, training.score_alpha)))
    chosen, choice = choose(evaluator, training, synthetic_cases(prepared, models, scaling, held, standards))
    return CalibratedScore(*evaluator.scoring(chosen), choice, describe_choice(choice))


def calibrate_mahalanobis(
    held: HeldOut, errors: Floats, weights: Doubles, training: Training
) -> tuple[Scoring, Doubles]:
    """The distance's centre and precision, and the held-out scores (window,), each block's by the other blocks.

    errors: (window, sensor) standard errors; weights: (sensor,).
    """
    sensors = errors.shape[1]
    plain = _scoring(np.zeros(sensors), np.eye(sensors), training)
    vectors = smooth(plain, held.slots, errors, held.reset_before)[1]
    scores = np.empty(len(errors))
    for number in np.unique(held.block):
        mine = held.block == number
        others = _fitted(vectors[~mine], weights, training)
        scores[mine] = smooth(others, held.slots, errors, held.reset_before)[0][mine]
    return _fitted(vectors, weights, training), scores


def _fitted(vectors: Doubles, weights: Doubles, training: Training) -> Scoring:
    """Centre and weighted precision of smoothed vectors."""
    precision = weighted_precision(smoothed_covariance(vectors, training.vector_alpha), weights)
    return _scoring(vectors.mean(axis=0), precision, training)


def _scoring(center: Doubles, precision: Doubles, training: Training) -> Scoring:
    return Scoring(
        method="mahalanobis",
        vector_alpha=training.vector_alpha,
        center=tuple(map(nine_digits, center.tolist())),
        precision=tuple(tuple(map(nine_digits, row)) for row in precision.tolist()),
        score_alpha=training.score_alpha,
    )
