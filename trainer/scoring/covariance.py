"""How normal residual vectors scatter: a covariance that can be inverted, whatever the history's length.

Correlations are shrunk towards none by the intensity of Schäfer & Strimmer (2005, Stat. Appl. Genet. Mol. Biol. 4:32).
Their formula takes rows for independent; ours are smoothed and of slow processes, so it is given the number of rows
that would be independent instead. Ledoit & Wolf's shrinkage to one common variance was tried: with autocorrelated rows
it hardly shrinks, and correlations that held by accident in the history then raise alarms.
"""

import numpy as np

from detector.core.arrays import Doubles

QUIET = 0.05  # an autocorrelation below it counts as none
MIN_WEIGHT = 0.1  # of a sensor that only drifts
MAX_ROWS = 20_000  # of which autocorrelations are taken


def smoothed_covariance(vectors: Doubles, alpha: float) -> Doubles:
    """The shrunk covariance of vectors (row, sensor) that an EWMA with this alpha has smoothed."""
    # Even white noise of unit variance keeps this variance after the EWMA: below it a sensor would only look
    # predictable because the history is short.
    return shrunk_covariance(vectors, alpha / (2 - alpha))


def weighted_precision(covariance: Doubles, weights: Doubles) -> Doubles:
    """The precision (sensor, sensor) of a Mahalanobis distance in which each sensor counts by its weight (sensor,)."""
    precision = np.linalg.inv(covariance)
    return np.asarray(weights[:, None] * (precision + precision.T) / 2 * weights)


def shrunk_covariance(vectors: Doubles, min_variance: float) -> Doubles:
    """(row, sensor) -> (sensor, sensor), positive definite. min_variance: no sensor is known better than that."""
    centred = vectors - vectors.mean(axis=0)
    variance = np.maximum(centred.var(axis=0), min_variance)
    standard = centred / np.sqrt(variance)
    correlation = standard.T @ standard / len(standard)
    np.fill_diagonal(correlation, 1.0)
    shrunk = (1 - _intensity(standard, correlation)) * correlation
    np.fill_diagonal(shrunk, 1.0)
    return np.asarray(shrunk * np.sqrt(np.outer(variance, variance)))


def _intensity(standard: Doubles, correlation: Doubles) -> float:
    """Share of the correlations that is noise, 0 to 1; never so little that the matrix cannot be inverted."""
    off = ~np.eye(len(correlation), dtype=bool)
    signal = float((correlation[off] ** 2).sum())
    if signal <= 0:
        return 0.0
    squares = standard**2
    noise = (squares.T @ squares / len(standard) - correlation**2) / independent_rows(standard)
    return float(np.clip(noise[off].sum() / signal, 0.001, 1.0))


def independent_rows(vectors: Doubles) -> float:
    """How many independent rows say as much about a mean as these autocorrelated ones; the median over sensors."""
    rows = vectors[:MAX_ROWS]
    count = len(rows)
    centred = np.ascontiguousarray((rows - rows.mean(axis=0)).T)
    length = 1 << (2 * count - 1).bit_length()  # a length with large prime factors takes five times as long
    covariances = np.fft.irfft(np.abs(np.fft.rfft(centred, length)) ** 2)[:, :count]
    found = []
    for covariance in covariances:
        if covariance[0] <= 0:
            continue
        correlation = covariance / covariance[0]
        quiet = int(np.argmax(correlation < QUIET)) or count
        found.append(count / (1 + 2 * correlation[1:quiet].sum()))
    share = float(np.median(found)) / count if found else 1.0
    return max(share * len(vectors), 2.0)


def drift_weights(blocks: list[Doubles]) -> Doubles:
    """Weight of each sensor, MIN_WEIGHT to 1: its mean variance within 8 equal stretches of time over its whole one.

    blocks: one (row, sensor) array an asset, NaN = missing. A thermometer that warms up all through the history says
    little by being warmer still; a sensor that swings about one level keeps its full weight.
    """
    within = np.zeros(blocks[0].shape[1])
    whole = np.zeros(blocks[0].shape[1])
    for values in blocks:
        parts = [part for part in np.array_split(values, 8) if len(part) > 1]
        within += sum(_scatter(part) for part in parts)
        whole += _scatter(values)
    return np.asarray(np.clip(np.where(whole > 0, within / np.where(whole > 0, whole, 1.0), 1.0), MIN_WEIGHT, 1.0))


def _scatter(values: Doubles) -> Doubles:
    """Sum of squares about the mean, (sensor,); 0 where nothing is present."""
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    filled = np.where(present, values, 0.0)
    mean = filled.sum(axis=0) / count
    return np.asarray((np.where(present, values - mean, 0.0) ** 2).sum(axis=0))
