"""The rules by which a threshold is found among held-out normal scores, before the margin.

percentile: an empirical quantile, so of a short history about the largest score. mean_sigma: Shewhart's mean + k
standard deviations. mad: the same of the median and the median absolute deviation, which faults in the history hardly
move (Iglewicz & Hoaglin, How to Detect and Handle Outliers, ASQC 1993). pot: peaks over threshold, which goes on beyond
the largest score that was seen (trainer/calibration/pareto.py). alarm_rate: the last one, going down from the largest
score, at which the history itself would have raised no more alarms than somebody can answer; they are what people count
(EEMUA 191, ISA-18.2), not rows.
"""

import math
from collections.abc import Callable

import numpy as np

from detector.core.rounding import nine_digits
from schemas.manifest import Calibration, ThresholdMethod
from schemas.training import Threshold
from trainer.calibration.normal_scores import HeldOutScores
from trainer.calibration.pareto import fit_pareto

FoundThreshold = tuple[float, dict[str, float]]  # the threshold without its margin, and what it came from

SD_PER_MAD = 1.4826  # of a Gaussian
SD_PER_MEAN_DEVIATION = 1.2533
MIN_THRESHOLD = 0.1  # of a history in which nothing ever happens; scores are in standard deviations
STEP = 0.98  # from one threshold that is tried to the next
# Below this quantile of normal scores a threshold separates nothing: alarms run into each other, and are few again.
MIN_QUANTILE = 0.95
# This much of an alarm counts as one: the first rows of a history fill a window, and a week less an hour is a week.
ALMOST_ONE = 0.99

SKETCH = (
    *np.round(np.arange(0, 0.96, 0.05), 2),
    0.96,
    0.97,
    0.98,
    0.99,
    0.992,
    0.994,
    0.995,
    0.996,
    0.998,
    0.999,
    0.9995,
    0.9999,
    1.0,
)  # quantiles that the manifest keeps, so that a threshold can be moved without retraining


def calibrate_threshold(normal: HeldOutScores, settings: Threshold) -> Calibration:
    """The threshold by the configured rule, times the margin; and a sketch of the scores.

    >>> from schemas.manifest import Timing
    >>> zeros = np.zeros(1001, np.int64)
    >>> delays = Timing(on_delay_s=5.0, off_delay_s=10.0)
    >>> held = HeldOutScores(np.linspace(0.0, 1.0, 1001), zeros, np.arange(1001.0), zeros == 1, 1.0, delays)
    >>> found = calibrate_threshold(held, Threshold(percentile=96.0, margin=1.25, hysteresis=0.5))
    >>> found.threshold, found.lower_threshold, found.quantiles["0.5"]
    (1.2, 0.6, 0.5)
    """
    scores = normal.scores
    found, parameters = find_threshold(normal, settings)
    threshold = max(found * settings.margin, MIN_THRESHOLD)
    return Calibration(
        method=settings.method,
        parameters={name: nine_digits(value) for name, value in parameters.items()} | {"margin": settings.margin},
        threshold=nine_digits(threshold),
        lower_threshold=nine_digits(threshold * settings.hysteresis),
        windows=len(scores),
        quantiles={f"{q:g}": nine_digits(float(np.quantile(scores, q))) for q in SKETCH},
        mean=nine_digits(float(scores.mean())),
        sd=nine_digits(float(scores.std())),
    )


def find_threshold(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    """The score above which rows are anomalous, before the margin, and what it came from. Always finite.

    >>> from schemas.manifest import Timing
    >>> zeros = np.zeros(1001, np.int64)
    >>> delays = Timing(on_delay_s=5.0, off_delay_s=10.0)
    >>> held = HeldOutScores(np.linspace(0.0, 1.0, 1001), zeros, np.arange(1001.0), zeros == 1, 1.0, delays)
    >>> find_threshold(held, Threshold(percentile=96.0))
    (0.96, {'percentile': 96.0})
    >>> threshold, parameters = find_threshold(held, Threshold(method="mad", k=2.0))
    >>> round(threshold, 3), round(parameters["median"], 3)
    (1.241, 0.5)
    """
    return RULES[settings.method](normal, settings)


def _percentile(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    return float(np.percentile(normal.scores, settings.percentile)), {"percentile": settings.percentile}


def _mean_sigma(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    return float(normal.scores.mean() + settings.k * normal.scores.std()), {"k": settings.k}


def _mad(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    scores = normal.scores
    middle = float(np.median(scores))
    off = np.abs(scores - middle)
    # Where more than half of the scores are equal their median deviation is 0, and says nothing of the others.
    spread = SD_PER_MAD * float(np.median(off)) or SD_PER_MEAN_DEVIATION * float(off.mean())
    return middle + settings.k * spread, {"k": settings.k, "median": middle, "spread": spread}


def _peaks_over_threshold(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    tail = fit_pareto(normal.scores, settings.tail_percentile)
    parameters = {"risk": settings.risk, "begin": tail.begin, "excesses": float(tail.excesses)}
    return tail.quantile(settings.risk), parameters | {"shape": tail.shape, "scale": tail.scale}


def _alarm_rate(normal: HeldOutScores, settings: Threshold) -> FoundThreshold:
    scores = normal.scores
    most = math.floor(settings.alarms_per_week * normal.weeks / ALMOST_ONE)
    least = max(float(np.quantile(scores, MIN_QUANTILE)), MIN_THRESHOLD)
    # As the bundle will have it: rounded down, it would lie below the score that it was to clear.
    threshold = nine_digits(float(scores.max()) * (1 + 1e-8))
    while (lower := nine_digits(threshold * STEP)) > least and normal.alarms(
        lower, lower * settings.hysteresis
    ) <= most:
        threshold = lower
    parameters = {"alarms_per_week": settings.alarms_per_week, "weeks": normal.weeks, "most_alarms": float(most)}
    return threshold, parameters


RULES: dict[ThresholdMethod, Callable[[HeldOutScores, Threshold], FoundThreshold]] = {
    "percentile": _percentile,
    "mean_sigma": _mean_sigma,
    "mad": _mad,
    "pot": _peaks_over_threshold,
    "alarm_rate": _alarm_rate,
}
