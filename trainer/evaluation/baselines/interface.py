"""What a baseline is: fitted on standardised train rows, it scores rows in order, each from the rows up to it."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from detector.core.arrays import Doubles

Score = Callable[[Doubles], Doubles]  # (row, sensor) in order -> (row,), higher is more anomalous; causal

LAGS = 10  # rows that baselines over windows see at once, as many as the default network
MAX_WINDOWS = 10_000  # windows fitted on; more are thinned evenly


class Baseline(Protocol):
    """Fits. known: stretches of train rows, (row, sensor) each, standardised, without gaps and missing values."""

    def __call__(self, known: list[Doubles], seed: int) -> Score:
        """The fitted score."""
        ...


def lagged(rows: Doubles) -> Doubles:
    """(row, sensor) -> (row, LAGS * sensor): each row with those before it; before the first row stands the first."""
    padded = np.concatenate([np.repeat(rows[:1], LAGS - 1, axis=0), rows])
    windows = np.lib.stride_tricks.sliding_window_view(padded, LAGS, axis=0)  # (row, sensor, lag)
    return np.ascontiguousarray(windows.reshape(len(rows), -1))


def training_windows(known: list[Doubles]) -> Doubles:
    """What baselines over windows are fitted on, (window, LAGS * sensor)."""
    windows = np.concatenate([lagged(rows) for rows in known])
    return windows[:: -(-len(windows) // MAX_WINDOWS)]
