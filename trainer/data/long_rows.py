"""Long values (one sensor each) become history rows through the detector's own assembler, so that rows agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.core.ingest.assemble import Assembler
from detector.errors import DataError
from trainer.data.history import History, from_columns


@dataclass(frozen=True, slots=True)
class LongCells:
    """Values in any order."""

    assets: list[str]  # (value,)
    sensors: list[str]  # (value,)
    times: NDArray[np.float64]  # (value,) seconds
    values: NDArray[np.float64]  # (value,)


def long_history(source: str, cells: LongCells, sensors: Sequence[str] | None, period_s: float | None) -> History:
    """One row an asset and period. sensors: None takes all; period_s: None takes the usual step of one sensor."""
    there = set(cells.sensors)
    wanted = tuple(sorted(there)) if sensors is None else tuple(sensors)
    for sensor in wanted:
        if sensor not in there:
            raise DataError(f"{source} has no value of the sensor {sensor!r}", "check training.<model>.sensors")
    period = period_s if period_s is not None else _usual_step(source, cells)
    names, slots = np.unique(np.asarray(cells.assets, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(cells.times, kind="stable")
    # In order of time nothing comes too late: no row has to wait.
    assembler = Assembler(wanted, period, 0.0)
    found = assembler.add(
        slots[order].astype(np.int64), order, cells.times[order], cells.values[order],
        [cells.sensors[place] for place in order.tolist()],
    )  # fmt: skip
    last = assembler.release(assembler.waiting())
    owners = names[np.concatenate([found.rows.slots, last.slots])].tolist()
    times = np.concatenate([found.rows.times, last.times])
    history = from_columns(source, wanted, owners, times, np.concatenate([found.rows.values, last.values]))
    if not found.overwritten:
        return history
    note = f"{found.overwritten} values share a period of {period:g} s with a later one of their sensor, which counts"
    return replace(history, notes=(*history.notes, note))


def _usual_step(source: str, cells: LongCells) -> float:
    """The median time between values of the same sensor of the same asset."""
    _, assets = np.unique(np.asarray(cells.assets, dtype=object).astype(str), return_inverse=True)
    _, sensors = np.unique(np.asarray(cells.sensors, dtype=object).astype(str), return_inverse=True)
    order = np.lexsort((cells.times, sensors, assets))
    same = (np.diff(assets[order]) == 0) & (np.diff(sensors[order]) == 0)
    steps = np.diff(cells.times[order])[same]
    steps = steps[steps > 0]
    if not len(steps):
        raise DataError(f"{source} has no sensor with two values", "give more history")
    return float(np.median(steps))
