"""Detection quality: every series trained on its own train rows and judged causally by the daemon's core."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from detector.bundle import OnnxScorer
from detector.core.rows import Rows
from detector.core.watch import Watch
from schemas.config import Drift, ScoresOut, Settings, Training, WatchRule
from trainer.fitted import Fitted
from trainer.metrics import Counts, area_under_pr, count
from trainer.recipe import train
from trainer.series import Series
from trainer.vus import volume_under_pr

MODEL = "evaluate"
POLL = 1000  # rows given at once; the outcome does not depend on it
# Windows and smoothed scores begin on known ground: so many train rows go before the first test row.
CONTEXT_WINDOWS, CONTEXT_ROWS = 2, 100

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A series' test rows as the product judged them."""

    name: str
    rows: int
    anomalous: int
    counts: Counts | None  # None without labels
    area: float | None  # AUC-PR
    volume: float | None  # VUS-PR
    threshold: float


def evaluate_series(series: Series, training: Training, out: Path) -> Judged:
    """Trains on the train rows, scores the test rows, and writes NAME.parquet into `out`."""
    fitted = train(series.train, MODEL, training)
    scores = score_series(series, fitted)
    verdicts = pa.array((scores > fitted.threshold).astype(np.int8))
    table = {"timestamp": series.stamps, "score": pa.array(scores), "pred": verdicts}
    pq.write_table(pa.table(table), out / f"{series.name}.parquet", compression="zstd")
    return judge(series, scores, fitted.threshold)


def judge(series: Series, scores: Doubles, threshold: float) -> Judged:
    """Scores (test row,) and their threshold against the labels, where there are any."""
    labels = series.labels
    return Judged(
        name=series.name,
        rows=len(scores),
        anomalous=int(labels.sum()) if labels is not None else 0,
        counts=count(labels, scores > threshold) if labels is not None else None,
        area=area_under_pr(labels, scores) if labels is not None else None,
        volume=volume_under_pr(labels, scores) if labels is not None else None,
        threshold=threshold,
    )


def score_series(series: Series, fitted: Fitted) -> Doubles:
    """The daemon's scores of the test rows, (row,); a row without a score keeps the one before it."""
    settings = Settings(
        watch=(WatchRule(model=MODEL),), drift=Drift(enabled=False), scores=ScoresOut(emit="all"), transport="files"
    )
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    watch = Watch(settings, {MODEL: scorer}, by_feed=True, topic="evaluate")
    before = CONTEXT_WINDOWS * fitted.manifest.window + CONTEXT_ROWS
    known = series.train.assets[0]
    times = np.concatenate([known.times[-before:], series.times])
    values = np.concatenate([known.values[-before:], series.values])
    scores = np.full(len(times), np.nan)
    for begin in range(0, len(times), POLL):
        end = min(begin + POLL, len(times))
        rows = Rows(
            topic="evaluate",
            partitions=np.zeros(end - begin, np.int64),
            offsets=np.arange(begin, end),
            assets=[series.name] * (end - begin),
            times=times[begin:end],
            values=values[begin:end],
            sensors=series.train.sensors,
        )
        for block in watch.process_rows(rows, float(times[end - 1])).scores:
            scores[block.offsets] = block.scores
    return _carried(scores)[-len(series.times) :]


def _carried(scores: Doubles) -> Doubles:
    """Rows without a score keep the one before them; 0 where there is none yet."""
    place = np.maximum.accumulate(np.where(np.isnan(scores), -1, np.arange(len(scores))))
    return np.where(place >= 0, scores[np.maximum(place, 0)], 0.0)
