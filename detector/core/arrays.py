"""The array types of the core and of the trainer, and the cut of sorted rows into runs."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]  # sensor values, windows, what a graph gives
Doubles = NDArray[np.float64]  # times (seconds since 1970), scores, whatever is summed up
Ints = NDArray[np.int64]  # slots, offsets, positions, flags
Counts = NDArray[np.int32]  # lengths of runs
Bytes = NDArray[np.int8]
Bools = NDArray[np.bool_]

_Kind = TypeVar("_Kind", bound=np.generic)


def first_of_runs(keys: NDArray[np.generic]) -> Bools:
    """True where a run of equal keys begins, (row,); of sorted slots: each slot's first row.

    >>> first_of_runs(np.array([3, 3, 5, 5, 5, 9])).tolist()
    [True, False, True, False, False, True]
    """
    first = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return first


def previous(values: NDArray[_Kind], first: Bools, remembered: NDArray[_Kind]) -> NDArray[_Kind]:
    """The value of the row before each row of its run, (row, ...).

    remembered: (run, ...) what stands before each run's first row.

    >>> previous(np.array([1, 2, 7]), np.array([True, False, True]), np.array([0, 6])).tolist()
    [0, 1, 6]
    """
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[first] = remembered
    return before


def last_of_runs(first: Bools) -> Ints:
    """The position of each run's last row, (run,), of what `first_of_runs` gives.

    >>> last_of_runs(first_of_runs(np.array([3, 3, 5, 5, 5, 9]))).tolist()
    [1, 4, 5]
    """
    return np.flatnonzero(np.r_[first[1:], True]) if len(first) else np.empty(0, np.int64)
