"""The VUS buffer as TSB-AD sets it: the period of a series' first channel, read off its autocorrelation."""

import numpy as np

from detector.core.arrays import Doubles

MAX_ROWS, LAGS = 20_000, 400  # that the autocorrelation is taken over
MIN_LAG, MAX_LAG = 3, 300  # a period beyond them is taken for chance
UNKNOWN = 125  # rows, where none is found


def buffer_of(channel: Doubles) -> int:
    """The lag in rows, from 3 on, at the highest local maximum of the autocorrelation of values (row,).

    >>> buffer_of(np.sin(2 * np.pi * np.arange(2000) / 40))
    40
    >>> buffer_of(np.zeros(2000))  # no period is known
    125
    """
    values = np.nan_to_num(channel[:MAX_ROWS])
    centred = values - values.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    correlation = np.fft.irfft(spectrum, 2 * len(centred))[: min(len(centred), LAGS + 1)]
    if correlation[0] <= 0:
        return UNKNOWN
    later = correlation[MIN_LAG:]
    peaks = np.flatnonzero((later[1:-1] > later[:-2]) & (later[1:-1] > later[2:])) + 1
    if not len(peaks):
        return UNKNOWN
    best = int(peaks[np.argmax(later[peaks])])
    return best + MIN_LAG if MIN_LAG <= best <= MAX_LAG else UNKNOWN
