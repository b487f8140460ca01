"""A history made ready for training: sensors chosen and checked, the period found, the windows replayed."""

from dataclasses import dataclass

import numpy as np

from detector.core.windows import WindowShape
from detector.errors import DataError
from schemas.training import SensorSettings, Training
from trainer.data.history import History, median_step
from trainer.replay.windows import Replay, mask_out_of_range, replay

GAP_PERIODS = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """The history as windows, and what is known of its sensors."""

    history: History
    training: Training
    settings: list[SensorSettings]  # by sensor
    shape: WindowShape
    period_s: float
    replay: Replay


def prepare(history: History, training: Training) -> Prepared:
    """Chooses and checks the sensors, finds the period, and replays the history through the windows."""
    if training.sensors is not None:
        history = history.select(tuple(training.sensors))
    settings = [(training.sensors or {}).get(name, SensorSettings()) for name in history.sensors]
    history = mask_out_of_range(history, settings)
    values = np.concatenate([asset.values for asset in history.assets])
    empty = [name for name, gone in zip(history.sensors, np.isnan(values).all(axis=0), strict=True) if gone]
    if empty:
        raise DataError(
            f"{history.source} has no value at all of {', '.join(empty)}",
            "leave them out: list the sensors to use under training.<model>.sensors",
        )
    period = training.period_s or median_step(history)
    gap = training.max_gap_s or GAP_PERIODS * period
    shape = WindowShape(training.window, len(history.sensors), training.stride, gap, training.fill_limit)
    return Prepared(history, training, settings, shape, period, replay(history, shape))
