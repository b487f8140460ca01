"""The tail of normal scores: a generalised Pareto distribution fitted to what lies above a high quantile.

Pickands, Balkema and de Haan: whatever the scores, what they exceed a high level by is nearly so distributed, and the
fit says what is exceeded more seldom than anything in the history was (Siffer, Fouque, Termier & Largouet, Anomaly
Detection in Streams with Extreme Value Theory, KDD 2017).

It is fitted by probability-weighted moments (Hosking & Wallis, Parameter and quantile estimation for the generalized
Pareto distribution, Technometrics 29, 1987): in closed form, and steadier than maximum likelihood on the few dozen
excesses that a history has, where the likelihood may have no maximum at all. Where the tail they find would end below
the largest score that was seen, it is made to end there (Dupuis & Tsao, A hybrid estimator for generalized Pareto and
extreme-value distributions, Communications in Statistics 27, 1998).
"""

import math
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Doubles

MIN_EXCESSES = 30  # fewer show little: of a short history the tail begins further down, ...
MAX_SHARE = 0.5  # ... but never below the median
# These moments know no heavier tail, and a few excesses that look heavier put the threshold where nothing ever comes.
MAX_SHAPE = 0.5
EXPONENTIAL = 1e-6  # a shape below it is an exponential tail: the general formula would divide by it


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """The distribution of scores above `begin`."""

    begin: float
    excesses: int  # scores above it
    share: float  # of all scores
    shape: float  # 0: exponential, above: heavier, below: it ends
    scale: float  # in the scores' units

    def quantile(self, risk: float) -> float:
        """The level that a share `risk` of rows exceeds, 0 to 1; never below the tail's begin."""
        if self.share <= risk:
            return self.begin
        beyond = math.log(self.share / risk)
        grown = beyond if abs(self.shape) < EXPONENTIAL else math.expm1(self.shape * beyond) / self.shape
        return self.begin + self.scale * grown


def fit_pareto(scores: Doubles, percentile: float) -> ParetoTail:
    """Scores (window,), higher is more anomalous. percentile: where the tail begins, if enough lie above it.

    Scores of neighbours in time are alike, so excesses come in runs: a risk is a share of rows, not of events.

    >>> scores = np.random.default_rng(0).exponential(size=20_000)
    >>> tail = fit_pareto(scores, percentile=98.0)
    >>> tail.excesses, round(tail.shape, 1), round(tail.scale, 1)
    (400, 0.0, 1.0)
    >>> round(tail.quantile(1e-4)), round(-math.log(1e-4))  # found, and of an exponential distribution
    (9, 9)
    """
    share = max(1 - percentile / 100, min(MIN_EXCESSES / len(scores), MAX_SHARE))
    begin = float(np.quantile(scores, 1 - share))
    excesses = np.sort(scores[scores > begin] - begin)
    shape, scale = _moments(excesses) if len(excesses) else (0.0, 0.0)
    return ParetoTail(begin, len(excesses), len(excesses) / len(scores), shape, scale)


def _moments(excesses: Doubles) -> tuple[float, float]:
    """Shape and scale, of ascending excesses above 0."""
    mean, count = float(excesses.mean()), len(excesses)
    apart = 2 * float((np.arange(count) * excesses).sum()) / (count * max(count - 1, 1)) - mean
    if apart <= EXPONENTIAL * mean:  # all alike, or only one: nothing is known but their size
        return 0.0, mean
    shape = min(2 - mean / apart, MAX_SHAPE)
    scale = (1 - shape) * mean
    largest = float(excesses[-1])
    return (-scale / largest, scale) if shape < 0 and -scale / shape < largest else (shape, scale)
