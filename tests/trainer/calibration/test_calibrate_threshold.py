"""The threshold keeps its promise on data that no fit has seen."""

import numpy as np
import pytest

from schemas.training import Threshold
from tests.support.made_history import normal_scores
from trainer.calibration.thresholds import MIN_THRESHOLD, calibrate_threshold


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
