"""The threshold keeps its promise on data nobody fitted on."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.training import Threshold, Training
from tests.support.made_history import normal_scores
from trainer.calibration.thresholds import MIN_THRESHOLD, calibrate_threshold
from trainer.fitting.outputs import FoldOutputs
from trainer.scoring.calibrate import calibrate_mahalanobis
from trainer.scoring.covariance import drift_weights, independent_rows, shrunk_covariance
from trainer.scoring.held_out import HeldOut, join


def test_percentile_is_the_promised_rate() -> None:
    """About as many held-out scores lie above the threshold as the percentile says."""
    scores = np.random.default_rng(0).gamma(4.0, size=20_000)
    found = calibrate_threshold(normal_scores(scores), Threshold(percentile=99.0, margin=1.0))
    assert (scores > found.threshold).mean() == pytest.approx(0.01, abs=0.0005)
    fresh = np.random.default_rng(1).gamma(4.0, size=20_000)
    assert (fresh > found.threshold).mean() == pytest.approx(0.01, abs=0.004)


def test_mean_sigma_margin_and_hysteresis() -> None:
    """Mean + k standard deviations, times the margin; the lower threshold is the stated part of it."""
    scores = np.random.default_rng(0).normal(5.0, 1.0, 10_000)
    found = calibrate_threshold(
        normal_scores(scores), Threshold(method="mean_sigma", k=2.0, margin=1.5, hysteresis=0.5)
    )
    assert found.threshold == pytest.approx(1.5 * 7.0, rel=0.01)
    assert found.lower_threshold == pytest.approx(found.threshold / 2, rel=1e-6)
    assert found.parameters == {"k": 2.0, "margin": 1.5}


def test_sketch_moves_the_threshold_without_retraining() -> None:
    """The sketch's quantiles are those of the scores, in order."""
    scores = np.random.default_rng(0).gamma(4.0, size=5000)
    sketch = calibrate_threshold(normal_scores(scores), Threshold()).quantiles
    assert sketch["0.99"] == pytest.approx(np.quantile(scores, 0.99), rel=1e-6)
    assert list(sketch.values()) == sorted(sketch.values())


def test_scores_of_nothing_still_give_a_threshold() -> None:
    """A history in which nothing ever happens gives a positive threshold."""
    assert calibrate_threshold(normal_scores(np.zeros(100)), Threshold()).threshold == MIN_THRESHOLD


def held_out(rows: int, sensors: int) -> HeldOut:
    """Three blocks of one asset; only slots, reset_before and block matter here."""
    zeros = np.zeros((rows, sensors))
    reset_before = np.arange(rows) == 0
    block = np.arange(rows) * 3 // rows
    outputs = FoldOutputs(zeros == 0, zeros, np.ones(rows, np.int64), np.zeros(rows), {"residual": zeros})
    return HeldOut(np.arange(rows), np.zeros(rows, np.int64), reset_before, block, outputs)


def test_a_block_is_judged_by_the_others() -> None:
    """A block that differs from the others scores high: its own covariance does not excuse it."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(900, 3)).astype(np.float32)
    errors[600:, 0] += 3.0
    scoring, scores = calibrate_mahalanobis(held_out(900, 3), errors, np.ones(3), Training(score="mahalanobis"))
    assert scores[650:].mean() > 3 * scores[:550].mean()
    assert scoring.center[0] == pytest.approx(1.0, abs=0.3)


def test_one_held_out_part_is_judged_by_halves() -> None:
    """With folds 0 there is one block; its halves judge each other."""
    held = held_out(400, 2)
    single = join([replace(held, block=np.zeros(400, np.int64))])
    errors = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    errors[200:] += 2.0
    _, scores = calibrate_mahalanobis(single, errors, np.ones(2), Training(score="mahalanobis"))
    assert scores[250:].mean() > 2.0


def test_covariance_can_be_inverted_whatever_the_history() -> None:
    """Fewer rows than sensors, copies of a sensor and constant sensors all give a positive definite matrix."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(10, 30))
    few[:, 1] = few[:, 0]
    few[:, 2] = 0.0
    assert np.linalg.eigvalsh(shrunk_covariance(few, 0.2)).min() > 0
    many = rng.normal(size=(5000, 1)) @ np.ones((1, 2)) + 0.1 * rng.normal(size=(5000, 2))
    found = shrunk_covariance(many, 0.2)
    np.testing.assert_allclose(found, np.cov(many.T, bias=True), rtol=0.02)


def test_autocorrelated_rows_count_for_fewer() -> None:
    """White noise counts row by row; a slow process for a small part of its rows."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2000, 2))
    slow = np.cumsum(noise, axis=0) * 0.05
    assert independent_rows(noise) > 1500
    assert independent_rows(slow) < 100


def test_drifting_sensor_weighs_less() -> None:
    """A sensor that only warms up through the history loses its weight, one that swings about a level keeps it."""
    rng = np.random.default_rng(0)
    rows = np.arange(800)
    values = np.stack([rows / 100 + 0.1 * rng.normal(size=800), rng.normal(size=800)], axis=1)
    weights = drift_weights([values])
    assert weights[0] < 0.2
    assert weights[1] > 0.9
    values[10:50, 1] = np.nan
    assert np.isfinite(drift_weights([values])).all()
