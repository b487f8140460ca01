"""Files through the daemon's own core: the same scores, alerts and ids as the daemon's."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from detector.core.ingest.rows import Rows
from detector.core.outcome import Outcome, ScoreBlock
from detector.core.placement import match
from detector.core.tally import Tally
from detector.core.watch import Watch
from detector.transports.reader import PARTITION, read_records
from schemas.alert import Alert
from schemas.config import Settings
from trainer.data.history import AssetHistory
from trainer.data.sources import LINES
from trainer.data.tables import TableRows, is_long, table_history, table_rows

POLL = 5000  # records at once; the outcome does not depend on it
_TYPES: dict[str, pa.DataType] = {
    "asset": pa.string(),
    "offset": pa.int64(),
    "timestamp": pa.float64(),
    "score": pa.float64(),
    "threshold": pa.float64(),
    "flags": pa.int64(),
    "model_version": pa.string(),
}
SCORES = pa.schema(_TYPES)


@dataclass(slots=True)
class BacktestResult:
    """What a backtest gave, summed over its files."""

    tally: Tally = field(default_factory=Tally)
    records: int = 0
    scored: int = 0
    above: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)  # reason -> count
    alerts: list[Alert] = field(default_factory=list)
    requests: int = 0
    verdicts: dict[int, bool] = field(default_factory=dict)  # offset -> score above the threshold
    assets: set[str] = field(default_factory=set)
    first_s: float = np.inf
    last_s: float = -np.inf


class ScoreFile:
    """scores.parquet, written as the scores come."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCORES, compression="zstd")

    def add(self, block: ScoreBlock) -> None:
        """One asset's rows of one poll."""
        count = len(block.offsets)
        threshold = np.full(count, np.nan if block.threshold is None else block.threshold)
        columns = [
            pa.array([block.asset] * count), pa.array(block.offsets), pa.array(block.times),
            pa.array(block.scores, from_pandas=True), pa.array(threshold, from_pandas=True), pa.array(block.flags),
            pa.array([block.model_version] * count, pa.string()),
        ]  # fmt: skip
        self._writer.write_table(pa.table(columns, schema=SCORES))

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()


def run_file(watch: Watch, path: Path, result: BacktestResult, scores: ScoreFile) -> NDArray[np.bool_] | None:
    """One file; gives the labels of its rows where it has them. Offsets go on from the file before."""
    feed, begin = watch.settings.feed, result.records
    if path.suffix in LINES:
        for records in read_records(path, watch.topic, begin, POLL):
            _take(watch.process(records, _clock(result)), result, scores)
        _take(watch.finish(_clock(result)), result, scores)
        return None
    sensors = tuple(dict.fromkeys(name for pipeline in watch.pipelines.values() for name in pipeline.sensor_names))
    if is_long(path, feed):
        rows, labels = _long_rows(watch, path, sensors), None
    else:
        rows = table_rows(path, feed, sensors)
        labels = rows.labels
    for first in range(0, len(rows.times), POLL):
        _take(watch.process_rows(_poll(watch, rows, first, begin), _clock(result)), result, scores)
    return labels


def _poll(watch: Watch, rows: TableRows, first: int, begin: int) -> Rows:
    """Rows from `first` on: partition 0, the row's number as offset, as if each had been a record."""
    part = slice(first, first + POLL)
    count = len(rows.times[part])
    return Rows(
        topic=watch.topic,
        partitions=np.full(count, PARTITION, np.int64),
        offsets=np.arange(begin + first, begin + first + count),
        assets=rows.assets[part],
        times=rows.times[part],
        values=rows.values[part],
        sensors=rows.sensors,
    )


def _long_rows(watch: Watch, path: Path, sensors: tuple[str, ...]) -> TableRows:
    """A long table's rows by time, each asset's of its own model's period; of one time by their assets' names."""
    pipelines, found = watch.pipelines, dict[str, AssetHistory]()
    periods = {name: pipeline.manifest.period_s for name, pipeline in pipelines.items()}
    shortest = min(periods.values())
    for period_s in sorted(set(periods.values())):
        for asset in table_history(path, watch.settings.feed, sensors, period_s).assets:
            model = match(watch.settings.watch, asset.name)
            if periods.get(model or "", shortest) == period_s:
                found[asset.name] = asset
    assets = [found[name] for name in sorted(found)]
    times = np.concatenate([asset.times for asset in assets])
    values = np.concatenate([asset.values for asset in assets])
    owner = np.repeat(np.arange(len(assets)), [len(asset.times) for asset in assets])
    order = np.argsort(times, kind="stable")
    names = [assets[number].name for number in owner[order]]
    return TableRows(sensors, names, times[order], values[order], None)


def backtest_settings(settings: Settings) -> Settings:
    """The same watch, with every score given out."""
    return settings.model_copy(update={"scores": settings.scores.model_copy(update={"emit": "all"})})


def verdicts(result: BacktestResult, begin: int, count: int) -> NDArray[np.bool_]:
    """Whether the scores of records begin to begin + count lay above the threshold; False where there was none."""
    return np.array([result.verdicts.get(offset, False) for offset in range(begin, begin + count)])


def _clock(result: BacktestResult) -> float:
    """The newest event time so far: a file has no other clock."""
    return result.last_s if np.isfinite(result.last_s) else 0.0


def _take(outcome: Outcome, result: BacktestResult, scores: ScoreFile) -> None:
    result.tally.add(outcome)
    result.records += outcome.records
    result.scored += outcome.scored
    result.alerts += outcome.alerts
    result.requests += len(outcome.requests)
    for letter in outcome.dead_letters:
        result.dead_letters[letter.reason.value] = result.dead_letters.get(letter.reason.value, 0) + 1
    for block in outcome.scores:
        scores.add(block)
        above = block.scores > (np.inf if block.threshold is None else block.threshold)
        result.above += int(above.sum())
        result.verdicts.update(zip(block.offsets.tolist(), above.tolist(), strict=True))
        result.assets.add(block.asset)
        result.first_s = min(result.first_s, float(block.times.min()))
        result.last_s = max(result.last_s, float(block.times.max()))
