"""The grid of a period: which cell of time a value falls into. All of it is integer arithmetic, in nanoseconds."""

import numpy as np

from detector.core.arrays import Doubles, Ints

_NS = 1_000_000_000


class Grid:
    """Cells of one period, numbered since 1970, with their centres on the multiples of the period.

    Sensors are read at about the tick of a clock, a little before or after it: both belong to that tick. Floats would
    put every fifth tenth of a second into its neighbour's cell. Times count in whole microseconds, which is as fine
    as a float holds them.

    >>> grid = Grid(0.1)
    >>> grid.numbers(np.array([0.3, 0.349, 0.351])).tolist(), grid.times(np.array([3])).tolist()
    ([3, 3, 4], [0.3])
    """

    def __init__(self, period_s: float) -> None:
        self.period_ns = max(round(period_s * _NS), 1)

    def numbers(self, times: Doubles) -> Ints:
        """The cell of each time, (value,). times: (value,) seconds since 1970."""
        return self._cells(_nanoseconds(times))

    def open_from(self, times: Doubles, lateness_s: float) -> Ints:
        """The first cell that may still get values once a value of each time has come, (value,)."""
        return self._cells(_nanoseconds(times) - round(lateness_s * _NS))

    def times(self, numbers: Ints) -> Doubles:
        """The centre of each cell, (value,) seconds since 1970."""
        seconds, rest = np.divmod(numbers * self.period_ns, _NS)
        times: Doubles = seconds + rest / _NS
        return times

    def _cells(self, ns: Ints) -> Ints:
        return (ns + self.period_ns // 2) // self.period_ns


def _nanoseconds(times: Doubles) -> Ints:
    return np.rint(times * 1e6).astype(np.int64) * 1000
