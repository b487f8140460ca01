"""The feed's clock: the newest event time that is believed, which silence over files is measured against.

The rule. A row moves the clock to its time, unless that lies more than a leap ahead of the clock: then one stamp of the
year 2191 would make every asset silent, and none ever again. A longer leap is believed once more than half of the
assets have made it, as after a standstill of the plant. The clock begins at the middle of the first poll's times.
"""

from collections.abc import Iterable

import numpy as np

from detector.core.arrays import Doubles

LEAP_S = 86_400.0  # at least; see `FeedClock.advance`


class FeedClock:
    """Never goes back.

    >>> clock, assets = FeedClock(), [np.array([1000.0, 1000.0, 7e9])]
    >>> clock.advance(np.array([999.0, 1000.0]), assets, 60.0), clock.advance(np.array([7e9, 1001.0]), assets, 60.0)
    (1000.0, 1001.0)
    """

    def __init__(self) -> None:
        self.time_s = -np.inf
        self._doubts = False  # a leap was not believed

    def advance(self, times: Doubles, newest: Iterable[Doubles], silent_after_s: float) -> float:
        """The clock after a poll. times: (row,) seconds; newest: of all assets before it, -inf where there is none.

        silent_after_s: a leap is a day, or as long as this.
        """
        leap_s = max(LEAP_S, silent_after_s)
        if len(times) and self.time_s == -np.inf:
            self.time_s = float(np.sort(times)[(len(times) - 1) // 2])
        if len(times) and (latest := float(times.max())) > self.time_s:
            self.time_s = latest if latest - self.time_s <= leap_s else self._reached(times, leap_s)
            self._doubts |= latest > self.time_s
        if self._doubts and (most := self._of_most(newest, leap_s)) > self.time_s:
            self.time_s, self._doubts = most, False
        return self.time_s

    def _reached(self, times: Doubles, leap_s: float) -> float:
        """How far the rows lead without a leap between them."""
        steps = np.r_[self.time_s, np.sort(times[times > self.time_s])]
        leaps = np.flatnonzero(np.diff(steps) > leap_s)
        return float(steps[leaps[0]] if len(leaps) else steps[-1])

    def _of_most(self, newest: Iterable[Doubles], leap_s: float) -> float:
        """The time that more than half of the assets have reached, where it is a leap ahead; else -inf."""
        known = np.concatenate([np.empty(0), *newest])
        known = np.sort(known[np.isfinite(known)])
        most = float(known[(len(known) - 1) // 2]) if len(known) else -np.inf
        return most if most > self.time_s + leap_s else -np.inf
