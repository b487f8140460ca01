"""Every baseline is causal, sees no test row before its time, and finds what is plain to see."""

import numpy as np
import pytest

from schemas.training import Training
from tests.support.made_history import SENSORS, START, made_values
from trainer.data.history import AssetHistory, History
from trainer.evaluation.baselines import BASELINES, baseline_scores
from trainer.evaluation.judge import judge
from trainer.evaluation.series import Series
from trainer.evaluation.tsb_ad import as_tsb_ad


def made_series(*, missing: bool = False) -> Series:
    """500 train and 300 test rows; two sensors leave the others from test row 100 to 160."""
    values = made_values(800, 11)
    values[600:660, 1] += 12
    values[600:660, 2] -= 50
    if missing:
        values[::7, 3] = np.nan
    times = START + np.arange(800.0)
    labels = np.zeros(300, bool)
    labels[100:160] = True
    history = History(SENSORS, (AssetHistory("s", times[:500], values[:500]),), "synthetic")
    return Series("s", history, times[500:], values[500:], labels, np.arange(300))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BASELINES)
def test_finds_a_plain_fault(name: str) -> None:
    """The fault's first row stands out for methods of steps, its rows for the others; missing values are no fault."""
    series = made_series(missing=True)
    given = baseline_scores(name, series, Training())
    assert np.isfinite(given.scores).all()
    result = judge(series, given)
    assert result.roc is not None
    assert given.scores[100] > np.quantile(given.scores[:100], 0.98) or result.roc > 0.9
    assert (given.scores[:100] > given.rules.threshold).mean() < 0.15


@pytest.mark.parametrize("name", BASELINES)
def test_is_causal(name: str) -> None:
    """Other later rows change neither the threshold nor a score before them."""
    first, second = made_series(), made_series()
    second.values[200:] += 50
    one, two = (baseline_scores(name, series, Training()) for series in (first, second))
    assert one.rules == two.rules
    np.testing.assert_allclose(one.scores[:200], two.scores[:200], rtol=1e-9)


def test_the_tsb_ad_way_trains_on_the_first_test_rows_and_judges_all() -> None:
    """Nothing of the split's train rows is used, and the VUS buffer is read off the first channel."""
    series = as_tsb_ad(made_series(), 90)
    assert series.train.rows == 90
    assert len(series.times) == 300
    assert series.buffer != made_series().buffer
    assert len(baseline_scores("PCA", series, Training()).scores) == 300
