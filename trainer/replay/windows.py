"""History through the detector's own windows: what the trainer fits on is what the daemon would have scored."""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints, first_of_runs
from detector.core.arrivals import Arrivals
from detector.core.slots import sorted_rows
from detector.core.windows import Advance, Windows, WindowShape
from detector.errors import DataError
from schemas.training import SensorSettings
from trainer.data.history import History

CHUNK = 16_384  # windows copied at once


@dataclass(frozen=True, slots=True)
class Replay:
    """All windows of a history that serving would score, by asset and in time order within one."""

    advance: Advance
    slots: Ints  # (window,) number of the asset
    rows: Ints  # (window,) last row of each window, counting all rows of all assets
    times: Doubles  # (window,) time of the last row, seconds
    reset_before: Bools  # (window,) memory across windows is empty before it
    window: int  # rows

    def __len__(self) -> int:
        return len(self.rows)

    def windows(self, chosen: Ints) -> Floats:
        """The windows `chosen` (ascending), (chosen, window, sensor) engineering units."""
        parts = []
        for begin in range(0, len(self.rows), CHUNK):
            end = min(begin + CHUNK, len(self.rows))
            low, high = np.searchsorted(chosen, [begin, end])
            if high > low:
                parts.append(self.advance.windows(begin, end)[chosen[low:high] - begin])
        return np.concatenate(parts)


def replay(history: History, shape: WindowShape) -> Replay:
    """Slides the windows over every asset. Raises DataError where not one is full."""
    slots = np.repeat(np.arange(len(history.assets)), [len(asset.times) for asset in history.assets])
    times = np.concatenate([asset.times for asset in history.assets])
    values = np.concatenate([asset.values for asset in history.assets])
    screened = Arrivals(len(history.assets)).screen(sorted_rows(slots, times, values))
    advance = Windows(shape, len(history.assets)).slide(screened, screened.kept_rows.values)
    scored = advance.scored
    if not len(scored):
        longest = max(len(asset.times) for asset in history.assets)
        raise DataError(
            f"{history.source} gives no window of {shape.window} rows (the longest asset has {longest} rows, gaps over "
            f"{shape.max_gap_s:g} s and windows missing over {shape.fill_limit:.0%} do not count)",
            "give more history, or lower training.<model>.window",
        )
    owners = slots[scored]
    reset_before = first_of_runs(owners) | advance.reset_before()
    return Replay(advance, owners, scored, times[scored], reset_before, shape.window)


def mask_out_of_range(history: History, settings: list[SensorSettings]) -> History:
    """Values outside a sensor's declared range count as missing, as they do in serving."""
    low = np.array([-np.inf if s.low is None else s.low for s in settings], np.float32)
    high = np.array([np.inf if s.high is None else s.high for s in settings], np.float32)
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return history
    assets = []
    for asset in history.assets:
        fine = (asset.values >= low) & (asset.values <= high)
        assets.append(type(asset)(asset.name, asset.times, np.where(fine, asset.values, np.nan).astype(np.float32)))
    return History(history.sensors, tuple(assets), history.source, history.notes)
