"""Files through the daemon's core: rows as the daemon would cut them."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from schemas.config import Feed, WatchRule
from tests.support.plant import FakeScorer, manifest, settings
from trainer.replay.backtest import BacktestResult, ScoreFile, run_file


def test_each_asset_of_a_long_table_has_rows_of_its_own_models_period(tmp_path: Path) -> None:
    """The slow model's rows are whole beside those of a model of a second."""
    slow = manifest().model_copy(update={"model": "n", "period_s": 60.0, "max_gap_s": 300.0})
    rules = (WatchRule(model="n", assets=("slow",)), WatchRule(model="m", assets=("a",)))
    config = WatchSettings.of(settings(feed=Feed(form="long"), watch=rules))
    watch = Watch(config, {"m": FakeScorer(), "n": FakeScorer(slow)}, by_feed=True, topic="sensors")
    start = 1_700_000_040.0  # a whole minute
    cells = [("a", start + t, f"s{s}") for t in range(600) for s in range(3)]
    cells += [("slow", start + 60 * row + 10 * s, f"s{s}") for row in range(10) for s in range(3)]
    table = [{"asset": asset, "timestamp": time, "sensor": name, "value": time % 7} for asset, time, name in cells]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "long.parquet")
    result, scores = BacktestResult(), ScoreFile(tmp_path / "scores.parquet")
    run_file(watch, tmp_path / "long.parquet", result, scores)
    scores.close()
    scored = pq.read_table(tmp_path / "scores.parquet").drop_null().column("asset").to_pylist()
    assert Counter(scored) == {"a": 597, "slow": 7}
