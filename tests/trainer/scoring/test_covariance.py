"""A covariance can be inverted whatever the history, and rows count for what they are worth."""

import numpy as np

from trainer.scoring.covariance import drift_weights, independent_rows, shrunk_covariance


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
