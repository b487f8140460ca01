"""The rules by which a threshold is found among held-out normal scores, before the margin.

percentile: an empirical quantile, so of a short history about the largest score. mean_sigma: Shewhart's mean + k
standard deviations. mad: the same of the median and the median absolute deviation, which faults in the history hardly
move (Iglewicz & Hoaglin, How to Detect and Handle Outliers, ASQC 1993). pot: peaks over threshold, which goes on beyond
the largest score that was seen (trainer/tail.py).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import ThresholdMethod
from schemas.training import Threshold
from trainer.tail import fit_tail

Doubles = NDArray[np.float64]
Found = tuple[float, dict[str, float]]  # the threshold without its margin, and what it came from

SD_PER_MAD = 1.4826  # of a Gaussian
SD_PER_MEAN_DEVIATION = 1.2533


def find_threshold(scores: Doubles, settings: Threshold) -> Found:
    """The score above which rows are anomalous, of held-out normal ones (window,). Finite, whatever they are."""
    return RULES[settings.method](scores, settings)


def _percentile(scores: Doubles, settings: Threshold) -> Found:
    return float(np.percentile(scores, settings.percentile)), {"percentile": settings.percentile}


def _mean_sigma(scores: Doubles, settings: Threshold) -> Found:
    return float(scores.mean() + settings.k * scores.std()), {"k": settings.k}


def _mad(scores: Doubles, settings: Threshold) -> Found:
    middle = float(np.median(scores))
    off = np.abs(scores - middle)
    # Where more than half of the scores are equal their median deviation is 0, and says nothing of the others.
    spread = SD_PER_MAD * float(np.median(off)) or SD_PER_MEAN_DEVIATION * float(off.mean())
    return middle + settings.k * spread, {"k": settings.k, "median": middle, "spread": spread}


def _peaks_over_threshold(scores: Doubles, settings: Threshold) -> Found:
    tail = fit_tail(scores, settings.tail_percentile)
    said = {"risk": settings.risk, "begin": tail.begin, "excesses": float(tail.excesses)}
    return tail.quantile(settings.risk), said | {"shape": tail.shape, "scale": tail.scale}


RULES: dict[ThresholdMethod, Callable[[Doubles, Threshold], Found]] = {
    "percentile": _percentile,
    "mean_sigma": _mean_sigma,
    "mad": _mad,
    "pot": _peaks_over_threshold,
}
