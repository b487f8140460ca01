"""What is normal over time: block means and standing still."""

import numpy as np

from trainer.calibration.drift_reference import MIN_STUCK_ROWS, drift_reference, stuck_rows
from trainer.data.history import AssetHistory


def test_reference_of_white_noise() -> None:
    """Block means of noise scatter about its mean, a little wider than theory says, never narrower."""
    rng = np.random.default_rng(0)
    slots = np.repeat([0, 1], 2000)
    values = rng.normal(7.0, 2.0, (4000, 1))
    found = drift_reference(("flow",), slots, rng.gamma(3.0, size=4000), values, 10)
    assert found is not None
    assert found.block_rows == 100
    signal = found.signals[1]
    assert signal.name == "flow"
    assert abs(signal.mean - 7.0) < 0.2
    assert 2.0 / 10 <= signal.block_sd < 2 * 2.0 / 10


def test_slow_feed_has_a_wide_reference() -> None:
    """Autocorrelation is in the spread of block means: a slow swing in the history is no drift later."""
    slow = np.sin(np.arange(5000) / 300)[:, None]
    found = drift_reference(("heat",), np.zeros(5000, np.int64), np.ones(5000), slow, 5)
    assert found is not None
    assert found.signals[1].block_sd > 0.5


def test_too_short_for_a_reference() -> None:
    """Without some blocks nothing is claimed."""
    assert drift_reference(("x",), np.zeros(50, np.int64), np.ones(50), np.ones((50, 1)), 10) is None


def made(values: list[float]) -> tuple[AssetHistory, ...]:
    """One asset with one sensor."""
    return (AssetHistory("a", np.arange(len(values), dtype=float), np.array(values, np.float32)[:, None]),)


def test_stuck_limit_follows_the_longest_run() -> None:
    """Three times the longest run of equal values, at least 30; none where standing still is normal."""
    lively = np.random.default_rng(0).normal(size=1000)
    assert stuck_rows(made(list(lively)), 0) == MIN_STUCK_ROWS
    lively[100:120] = 5.0
    assert stuck_rows(made(list(lively)), 0) == 60
    lively[100:400] = 5.0
    assert stuck_rows(made(list(lively)), 0) is None
    lively[:] = np.nan
    assert stuck_rows(made(list(lively)), 0) == MIN_STUCK_ROWS
