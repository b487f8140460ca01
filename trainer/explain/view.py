"""The data as the bundle sees them: windows, codes, and the daemon's own scores and alerts."""

from dataclasses import dataclass

import numpy as np

from detector.bundles.loading import OnnxScorer
from detector.core.arrays import Bools, Doubles, Floats, Ints
from detector.core.windows import WindowShape
from schemas.alert import Alert, AlertKind
from schemas.config import Alarms
from trainer.data.history import History
from trainer.replay.splits import thinned
from trainer.replay.through_core import score_history
from trainer.replay.windows import Replay, replay

MAX_CHOSEN = 2000  # windows examined, evenly spread; a scatter plot of more is a blot
MAX_SENSORS = 50  # that an alert may name


@dataclass(frozen=True, slots=True)
class View:
    """All windows of the data, and some of them in detail."""

    scorer: OnnxScorer
    history: History
    replay: Replay
    chosen: Ints  # (chosen,) window numbers
    windows: Floats  # (chosen, window, sensor) engineering units
    flat: Doubles  # (chosen, window * sensor) standardised over these windows, 0 where missing
    codes: Doubles  # (chosen, latent)
    scores: Doubles  # (row,) of every row of every asset, NaN where there is none
    alerts: list[Alert]  # process alerts, in order

    @property
    def above(self) -> Bools:
        """Which of the chosen windows score above the threshold, (chosen,)."""
        threshold = self.scorer.manifest.calibration.threshold
        return np.asarray(np.nan_to_num(self.scores[self.replay.rows[self.chosen]]) > threshold)


def look(scorer: OnnxScorer, history: History, alarms: Alarms) -> View:
    """Replays a history of the bundle's sensors. Raises DataError where no window is full."""
    manifest = scorer.manifest
    history = history.select(tuple(sensor.name for sensor in manifest.sensors))
    shape = WindowShape(
        manifest.window, len(manifest.sensors), manifest.stride, manifest.max_gap_s, manifest.fill_limit
    )
    replayed = replay(history, shape)
    chosen = thinned(np.arange(len(replayed)), MAX_CHOSEN)
    windows = replayed.windows(chosen)
    named = alarms.model_copy(update={"top_sensors": min(len(history.sensors), MAX_SENSORS)})
    scores, alerts = score_history(scorer, history, named)
    return View(
        scorer=scorer,
        history=history,
        replay=replayed,
        chosen=chosen,
        windows=windows,
        flat=_standard(windows),
        codes=scorer.reconstruct(windows)[1].astype(np.float64).reshape(len(windows), -1),
        scores=scores,
        alerts=[alert for alert in alerts if alert.data.kind is AlertKind.PROCESS],
    )


def _standard(windows: Floats) -> Doubles:
    cells = windows.reshape(-1, windows.shape[2]).astype(np.float64)
    there = ~np.isnan(cells)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, cells, 0.0).sum(axis=0) / count
    sd = np.sqrt((np.where(there, cells - mean, 0.0) ** 2).sum(axis=0) / count)
    scaled = np.where(there, cells - mean, 0.0) / np.where(sd > 0, sd, 1.0)
    return np.asarray(scaled.reshape(len(windows), -1))
