"""Each rule gives the threshold it promises, on known distributions and on scores that show nothing."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import load_settings
from detector.core.arrays import Doubles
from detector.errors import ConfigError
from schemas.manifest import ThresholdMethod
from schemas.training import Threshold
from tests.support.made_history import made_history, normal_scores, quick_training
from trainer.calibration.normal_scores import describe_alarms
from trainer.calibration.pareto import MAX_SHAPE, MIN_EXCESSES, fit_pareto
from trainer.calibration.thresholds import MIN_THRESHOLD, RULES, STEP, calibrate_threshold, find_threshold
from trainer.recipe import train

SHAPES = {
    "gamma": lambda rng, size: rng.gamma(4.0, size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "half normal": lambda rng, size: np.abs(rng.normal(size=size)),
    "log-normal": lambda rng, size: rng.lognormal(0.0, 0.5, size=size),
    "student": lambda rng, size: np.abs(rng.standard_t(4, size=size)),
    "normal": lambda rng, size: rng.normal(5.0, 1.0, size=size),
}
SCORES = st.lists(st.floats(0, 1e30) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=200).map(np.array)


def found(scores: Doubles, **settings: object) -> float:
    """The threshold without a margin."""
    return find_threshold(normal_scores(scores), Threshold.model_validate(settings))[0]


def test_every_method_has_a_rule() -> None:
    """What can be configured can be found."""
    assert set(RULES) == set(get_args(ThresholdMethod))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("risk", "rows"), [(1e-3, 5000), (1e-4, 20_000), (1e-4, 2000)])
def test_pot_keeps_the_risk_on_fresh_scores(shape: str, risk: float, rows: int) -> None:
    """Over many histories the share of fresh scores above the threshold is about what was asked for, be it smaller than
    one in as many as there are.
    """
    rng = np.random.default_rng(0)
    fresh = np.sort(SHAPES[shape](rng, 400_000))
    thresholds = [found(SHAPES[shape](rng, rows), method="pot", risk=risk) for _ in range(30)]
    rates = 1 - np.searchsorted(fresh, thresholds, side="right") / len(fresh)
    assert 0.5 * risk < np.median(rates) < 2.0 * risk
    assert rates.mean() < 4.0 * risk


def test_pot_goes_beyond_what_was_seen_and_a_percentile_does_not() -> None:
    """Of a short history the smaller risk is above the largest score, more often than not."""
    rng = np.random.default_rng(0)
    histories = [rng.exponential(size=1000) for _ in range(40)]
    assert all(found(scores, percentile=99.99) <= scores.max() for scores in histories)
    assert np.mean([found(scores, method="pot", risk=1e-4) > scores.max() for scores in histories]) > 0.6


def test_the_tail_is_what_was_drawn() -> None:
    """Shape and scale of generalised Pareto excesses are found again; a tail that ends holds all that was seen."""
    rng = np.random.default_rng(0)
    for shape in (-0.3, 0.0, 0.3):
        uniform = rng.uniform(size=200_000)
        scores = 3.0 + 2.0 * (-np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape)
        tail = fit_pareto(scores, 50.0)
        assert tail.shape == pytest.approx(shape, abs=0.03)
        # A tail of a tail is one of the same shape, and wider by as much as it begins further out.
        assert tail.scale == pytest.approx(2.0 + shape * (tail.begin - 3.0), rel=0.05)
    for seed in range(20):
        scores = np.random.default_rng(seed).uniform(size=100)
        tail = fit_pareto(scores, 98.0)
        assert tail.shape < 0
        assert tail.begin - tail.scale / tail.shape >= scores.max() - 1e-9
    assert fit_pareto(rng.standard_cauchy(5000), 98.0).shape == MAX_SHAPE


def test_a_short_history_has_a_tail_that_begins_further_down() -> None:
    """So many excesses as are needed, but never from below the median."""
    scores = np.random.default_rng(0).exponential(size=300)
    assert fit_pareto(scores, 98.0).excesses == MIN_EXCESSES
    assert fit_pareto(scores[:20], 98.0).begin == pytest.approx(np.median(scores[:20]))
    assert fit_pareto(np.tile(scores, 100), 98.0).share == pytest.approx(0.02, abs=0.005)


def test_mad_is_mean_sigma_of_a_gaussian() -> None:
    """Of Gaussian scores both rules agree, and about as many fresh ones lie above as a Gaussian says."""
    rng = np.random.default_rng(0)
    scores = rng.normal(5.0, 1.0, 50_000)
    assert found(scores, method="mad", k=3.0) == pytest.approx(8.0, rel=0.02)
    assert found(scores, method="mad", k=3.0) == pytest.approx(found(scores, method="mean_sigma", k=3.0), rel=0.02)
    assert (rng.normal(5.0, 1.0, 400_000) > found(scores, method="mad", k=3.0)).mean() == pytest.approx(
        0.00135, rel=0.3
    )


def test_faults_in_the_history_hardly_move_mad() -> None:
    """A tenth of the scores a hundred times too large moves the mean's rule far, and this one a little."""
    scores = np.random.default_rng(0).normal(5.0, 1.0, 10_000)
    faulty = np.where(np.arange(10_000) % 10 == 0, 100 * scores, scores)
    assert found(faulty, method="mad", k=3.0) < 1.15 * found(scores, method="mad", k=3.0)
    assert found(faulty, method="mean_sigma", k=3.0) > 10 * found(scores, method="mean_sigma", k=3.0)


def test_scores_that_are_mostly_equal_still_have_a_spread() -> None:
    """With a median deviation of 0 the mean deviation says how far the others lie: they are not all anomalous."""
    scores = np.where(np.arange(1000) % 5 == 0, np.random.default_rng(0).uniform(1, 2, 1000), 1.0)
    assert 0 < (scores > found(scores, method="mad", k=2.0)).mean() < 0.2
    assert found(scores, method="mad", k=10.0) > scores.max()


MINUTE_S, WEEK_ROWS = 60.0, 10_080


def with_bursts(weeks: int, heights: Sequence[float], rows: int = 20) -> Doubles:
    """Scores around 1, a row a minute, with bursts of so many rows spread evenly over the weeks."""
    scores = np.random.default_rng(0).normal(1.0, 0.05, weeks * WEEK_ROWS)
    for number, height in enumerate(heights):
        begin = 500 + number * (len(scores) - 1000) // len(heights)
        scores[begin : begin + rows] = height
    return scores


@pytest.mark.parametrize(
    ("per_week", "between"), [(0.0, (10.0, 10.3)), (0.5, (8.0, 9.0)), (1.0, (6.0, 7.0)), (2, (2, 3))]
)
def test_alarm_rate_is_the_last_that_keeps_the_promise(per_week: float, between: tuple[float, float]) -> None:
    """Four weeks with nine bursts of 10 down to 2: so many of them would have been alarms, and one more below that."""
    normal = normal_scores(with_bursts(4, range(10, 1, -1)), row_s=MINUTE_S)
    settings = Threshold(method="alarm_rate", alarms_per_week=per_week)
    threshold, parameters = find_threshold(normal, settings)
    most = int(4 * per_week)
    assert parameters["most_alarms"] == most
    assert parameters["weeks"] == pytest.approx(4.0)
    assert normal.alarms(threshold, 0.8 * threshold) == most
    assert normal.alarms(STEP * threshold, STEP * 0.8 * threshold) > most
    assert between[0] * STEP <= threshold <= between[1]


def test_alarms_are_counted_as_the_daemon_raises_them() -> None:
    """A burst shorter than the on-delay calls nobody, so it does not lift the threshold; two assets have two weeks."""
    short = normal_scores(with_bursts(1, [50.0] * 5, rows=4), row_s=MINUTE_S)
    settings = Threshold(method="alarm_rate", alarms_per_week=0.0)
    assert find_threshold(short, settings)[0] < 2.0
    scores = np.r_[with_bursts(1, (5.0, 4.0, 3.0)), with_bursts(1, (2.0,))]
    both = normal_scores(scores, np.repeat([0, 1], WEEK_ROWS), MINUTE_S)
    threshold, parameters = find_threshold(both, Threshold(method="alarm_rate", alarms_per_week=1.0))
    assert parameters["most_alarms"] == 2
    assert 3.0 * STEP <= threshold < 4.0


@pytest.mark.parametrize(
    ("weeks", "span"), [(3.5, "3.5 weeks"), (1.5, "10.5 days"), (0.1, "16.8 hours"), (0.001, "10.1 minutes")]
)
def test_a_span_is_given_in_the_unit_that_suits_it(weeks: float, span: str) -> None:
    """From weeks down to minutes."""
    assert (
        describe_alarms({"held_out_weeks": weeks, "held_out_alarms": 3})
        == f"alarms they would have raised in {span}: 3"
    )


def test_alarms_that_run_into_each_other_are_not_few() -> None:
    """Just above the usual score everything is one long alarm; the way down ends before it."""
    scores = np.tile(np.r_[np.full(30, 2.0), np.full(30, 1.0)], 200)
    normal = normal_scores(scores, row_s=MINUTE_S)
    assert normal.alarms(1.1, 0.9) == 1
    assert find_threshold(normal, Threshold(method="alarm_rate", alarms_per_week=1.0))[0] >= 2.0 * STEP


def test_a_slow_wave_is_no_alarm_half_of_the_time() -> None:
    """One alarm a week would be kept by a threshold in the middle of it; a twentieth of the rows is the most."""
    scores = 2.0 + np.sin(np.arange(4 * WEEK_ROWS) * (2 * np.pi / WEEK_ROWS))
    normal = normal_scores(scores, row_s=MINUTE_S)
    threshold, parameters = find_threshold(normal, Threshold(method="alarm_rate", alarms_per_week=1.0))
    assert parameters["most_alarms"] == 4
    assert (scores > threshold).mean() <= 0.05


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_score_is_not_above_its_own_threshold(seed: int) -> None:
    """Where no alarm is allowed none is raised, although the bundle's numbers are rounded."""
    scores = np.random.default_rng(seed).gamma(4.0, size=2000)
    scores[700:720] = scores.max() * 1.001
    normal = normal_scores(scores)
    found = calibrate_threshold(normal, Threshold(method="alarm_rate", alarms_per_week=0.0, margin=1.0))
    assert normal.alarms(found.threshold, found.lower_threshold) == 0


def test_a_week_that_lacks_its_first_windows_rows_is_a_week() -> None:
    """A history of a week gives a window less for each row that fills the first one, and allows its alarm."""
    normal = normal_scores(with_bursts(1, (10.0, 9.0))[9:], row_s=MINUTE_S)
    threshold, parameters = find_threshold(normal, Threshold(method="alarm_rate", alarms_per_week=1.0))
    assert parameters["most_alarms"] == 1
    assert 9.0 * STEP <= threshold < 10.0


@settings(deadline=None)  # each is a walk down through many thresholds
@given(scores=SCORES, few=st.floats(0, 1e4), more=st.floats(0, 1e6))
def test_more_alarms_never_lift_the_threshold(scores: Doubles, few: float, more: float) -> None:
    """Of alarm_rate: whatever the scores, between their median and their largest."""
    scores = np.minimum(scores, 100.0)
    normal = normal_scores(scores, row_s=MINUTE_S)
    asked = (Threshold(method="alarm_rate", alarms_per_week=each) for each in (few, min(few + more, 1e6)))
    strict, lax = (find_threshold(normal, each)[0] for each in asked)
    assert np.median(scores) <= lax <= strict <= max(scores.max() * (1 + 1e-7), 1e-300)


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(
    "scores",
    [np.zeros(100), np.full(100, 7.5), np.array([3.0]), np.array([0.0] * 99 + [5.0]), np.array([1.0, 2.0]),
     np.r_[np.ones(990), np.full(10, 3.0)], np.linspace(0, 1e-12, 60), np.full(500, 0.1 + 0.2)],
    ids=["nothing", "all equal", "one", "one excess", "two", "equal excesses", "tiny", "rounded"],
)  # fmt: skip
def test_scores_that_tell_nothing_give_a_sound_threshold(method: str, scores: Doubles) -> None:
    """Above 0, and not below the usual score."""
    found = calibrate_threshold(normal_scores(scores), Threshold.model_validate({"method": method}))
    assert found.threshold >= max(MIN_THRESHOLD, float(np.median(scores)))
    assert found.lower_threshold == pytest.approx(0.8 * found.threshold)
    assert found.threshold <= 1.25 * max(20 * float(scores.max()), MIN_THRESHOLD)


@given(scores=SCORES, small=st.floats(1e-9, 0.01), factor=st.floats(1.0, 1e3), begin=st.floats(50.0, 98.9))
def test_a_smaller_risk_never_lowers_the_threshold(scores: Doubles, small: float, factor: float, begin: float) -> None:
    """Of pot: whatever the scores, it is a number above 0, monotone in the risk, and not below the median."""
    risks = sorted({small, min(small * factor, 0.01)})
    settings = [Threshold(method="pot", risk=risk, tail_percentile=begin) for risk in risks]
    thresholds = [calibrate_threshold(normal_scores(scores), each).threshold for each in settings]
    assert all(np.isfinite(each) and each > 0 for each in thresholds)
    assert all(one >= other for one, other in pairwise(thresholds))
    assert found(scores, method="pot", risk=risks[0], tail_percentile=begin) >= np.median(scores) * (1 - 1e-9)


@given(scores=SCORES, k=st.floats(1e-3, 1e3), more=st.floats(1.0, 1e3), method=st.sampled_from(["mad", "mean_sigma"]))
def test_a_larger_k_never_lowers_the_threshold(scores: Doubles, k: float, more: float, method: str) -> None:
    """Of mad and mean_sigma: whatever the scores, it is a number above 0, and monotone in k."""
    low, high = (
        calibrate_threshold(normal_scores(scores), Threshold.model_validate({"method": method, "k": each})).threshold
        for each in (k, k * more)
    )
    assert np.isfinite(high)
    assert 0 < low <= high


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"method": "pot", "risk": 1e-3}, {"risk", "begin", "excesses", "shape", "scale", "margin"}),
        ({"method": "mad", "k": 6.0}, {"k", "median", "spread", "margin"}),
        ({"method": "alarm_rate", "alarms_per_week": 2.0}, {"alarms_per_week", "weeks", "most_alarms", "margin"}),
    ],
)
def test_the_manifest_says_how_the_threshold_came_about(settings: dict[str, object], names: set[str]) -> None:
    """A whole training by either rule: few held-out rows are above, and the numbers stand in the bundle."""
    training = quick_training(family="linear", window=4, folds=2, threshold=settings)
    fitted = train(made_history(600), "pumps", training)
    calibration = fitted.manifest.calibration
    assert calibration.method == settings["method"]
    assert set(calibration.parameters) == names
    for name in settings.keys() - {"method"}:
        assert calibration.parameters[name] == settings[name]
    assert (fitted.scores > calibration.threshold).mean() < 0.02
    if calibration.method == "pot":
        begin, excesses = calibration.parameters["begin"], calibration.parameters["excesses"]
        assert (fitted.scores > begin).sum() == pytest.approx(excesses, abs=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "pot", "risk": 0.05}, r"risk \(0.05\) must be below the share of scores above tail_percentile"),
        ({"method": "pot", "risk": 0.0}, "risk"),
        ({"method": "pot", "tail_percentile": 100}, "tail_percentile"),
        ({"method": "pott"}, "'pot'"),
        ({"method": "alarm_rate", "alarms_per_week": -1}, "alarms_per_week"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(wrong: dict[str, object], message: str, tmp_path: Path) -> None:
    """One line that says what to change, before anything is fitted."""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"training": {"pumps": {"threshold": wrong}}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(path, {})
    assert "\n" not in str(caught.value)
