"""A history through the daemon's own core: the score that it would have given each row, and the alerts."""

import numpy as np

from detector.bundles.loading import OnnxScorer
from detector.core.arrays import Doubles
from detector.core.ingest.rows import Rows
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from schemas.alert import Alert
from schemas.config import Alarms, Drift, ScoresOut, WatchRule
from trainer.data.history import AssetHistory, History

POLL = 1000  # rows given at once; the outcome does not depend on it
TOPIC = "history"


def score_history(scorer: OnnxScorer, history: History, alarms: Alarms | None = None) -> tuple[Doubles, list[Alert]]:
    """Scores (row,) of all assets' rows, one asset after the other, NaN where there is none; and the alerts in order.

    Drift is not judged, and no retraining is requested.
    """
    model = scorer.manifest.model
    settings = WatchSettings(
        watch=(WatchRule(model=model),), drift=Drift(enabled=False), scores=ScoresOut(emit="all"),
        alarms=alarms or Alarms(),
    )  # fmt: skip
    watch = Watch(settings, {model: scorer}, by_feed=True, topic=TOPIC)
    scores, alerts, first = np.full(history.rows, np.nan), list[Alert](), 0
    for asset in history.assets:
        for begin in range(0, len(asset.times), POLL):
            rows = _rows(asset, history.sensors, slice(begin, begin + POLL), first + begin)
            outcome = watch.process_rows(rows, float(rows.times[-1]))
            alerts += outcome.alerts
            for block in outcome.scores:
                scores[block.offsets] = block.scores
        first += len(asset.times)
    return scores, alerts


def _rows(asset: AssetHistory, sensors: tuple[str, ...], part: slice, first: int) -> Rows:
    times = asset.times[part]
    count = len(times)
    offsets = first + np.arange(count)
    return Rows(TOPIC, np.zeros(count, np.int64), offsets, [asset.name] * count, times, asset.values[part], sensors)
