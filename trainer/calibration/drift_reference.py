"""What normal data look like over time: block means for the drift watch, and how long a sensor may stand still."""

import math

import numpy as np

from detector.core.arrays import Doubles, Floats, Ints
from detector.core.rounding import nine_digits
from schemas.manifest import DriftReference, ReferenceSignal
from trainer.data.history import AssetHistory

BLOCKS = 50  # about this many blocks an asset: few enough that a block outlasts the feed's memory
MIN_BLOCK_WINDOWS = 10  # rows of a block, in windows
MIN_BLOCKS = 4  # fewer say nothing of how block means scatter
STUCK_FACTOR = 3
MIN_STUCK_ROWS = 30
STUCK_SHARE = 0.05  # a run longer than this share of an asset's rows: standing still is normal for the sensor


def drift_reference(
    names: tuple[str, ...], slots: Ints, scores: Doubles, values: Doubles, window: int
) -> DriftReference | None:
    """Block means of normal rows, by asset and in time order: what drift is measured against.

    slots: (row,) number of the asset; scores: (row,); values: (row, sensor), NaN = missing; window: rows. None where
    the history is too short to say how block means scatter.

    >>> rng = np.random.default_rng(0)
    >>> rows = 2000
    >>> slots, scores, values = np.zeros(rows, np.int64), rng.gamma(4.0, size=rows), rng.normal(7.0, 1.0, (rows, 1))
    >>> reference = drift_reference(("flow",), slots, scores, values, window=4)
    >>> reference.block_rows, [(signal.name, round(signal.mean)) for signal in reference.signals]
    (40, [('score', 4), ('flow', 7)])
    >>> drift_reference(("flow",), slots[:100], scores[:100], values[:100], window=4) is None
    True
    """
    rows = np.bincount(slots)
    block_rows = max(MIN_BLOCK_WINDOWS * window, int(rows.max()) // BLOCKS)
    signals = np.concatenate([scores[:, None], values], axis=1)
    means = _block_means(slots, signals, block_rows)
    if len(means) < MIN_BLOCKS:
        return None
    return DriftReference(
        block_rows=block_rows,
        signals=tuple(
            _signal(name, means[:, column], float(np.nanstd(signals[:, column])), block_rows)
            for column, name in enumerate(("score", *names))
        ),
    )


def _signal(name: str, means: Doubles, row_sd: float, block_rows: int) -> ReferenceSignal:
    """The spread of few block means is itself uncertain: its upper 95 % bound is taken, above that of white noise."""
    means = means[~np.isnan(means)]
    if len(means) < MIN_BLOCKS:
        return ReferenceSignal(name=name, mean=0.0, block_sd=0.0)  # 0: the signal is not watched
    bound = 1 + 1.645 / math.sqrt(2 * (len(means) - 1))
    spread = max(float(means.std(ddof=1)) * bound, row_sd / math.sqrt(block_rows))
    return ReferenceSignal(name=name, mean=nine_digits(float(means.mean())), block_sd=nine_digits(spread))


def _block_means(slots: Ints, signals: Doubles, block_rows: int) -> Doubles:
    """(block, signal); the rows left over at an asset's end are dropped; NaN where a block has less than half."""
    means = []
    for slot in np.unique(slots):
        mine = signals[slots == slot]
        for begin in range(0, len(mine) - block_rows + 1, block_rows):
            block = mine[begin : begin + block_rows]
            present = (~np.isnan(block)).sum(axis=0)
            total = np.nansum(block, axis=0)
            means.append(np.where(present * 2 >= block_rows, total / np.maximum(present, 1), np.nan))
    return np.array(means).reshape(-1, signals.shape[1])


def stuck_rows(assets: tuple[AssetHistory, ...], column: int) -> int | None:
    """Rows in which a sensor may keep one value before it counts as stuck; None where standing still is normal.

    >>> times = np.arange(1000.0)
    >>> def of(values):
    ...     return AssetHistory("pump-1", times, np.asarray(values, np.float32)[:, None])
    >>> stuck_rows((of(times // 20),), 0)  # it stood still for 20 rows at most
    60
    >>> stuck_rows((of(times // 500),), 0) is None
    True
    """
    longest = 0
    for asset in assets:
        run = _longest_run(asset.values[:, column])
        if run > max(STUCK_SHARE * len(asset.times), 2):
            return None
        longest = max(longest, run)
    return max(STUCK_FACTOR * longest, MIN_STUCK_ROWS)


def _longest_run(values: Floats) -> int:
    """Length of the longest run of equal values; a missing value ends a run."""
    changes = np.flatnonzero(np.r_[True, values[1:] != values[:-1], True])
    return int(np.diff(changes).max()) if len(values) else 0
