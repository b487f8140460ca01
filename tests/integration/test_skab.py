"""A real water loop's valve, record by record through a real broker: exactly the alerts of a backtest on its file."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.alert import Alert, AlertState
from tests.support.installation import Installation, by_id, install
from tests.support.kafka_client import Cluster, Message, eventually

SERIES = Path(__file__).resolve().parents[3] / "shared" / "data" / "skab" / "valve1_0.parquet"
NOT_SENSORS = {"timestamp", "label", "changepoint", "split"}
ASSET = "valve1_0"

pytestmark = pytest.mark.skipif(
    not SERIES.exists(), reason="../shared/data/skab/valve1_0.parquet is not on this machine"
)


def watchkeeper(*arguments: str | Path) -> str:
    """Runs a command; its error output is the failure's message."""
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(place: Installation) -> tuple[Path, list[Message]]:
    """The whole series as a table for backtest and as records for Kafka, the first 400 rows also for training."""
    table = pq.read_table(SERIES)
    sensors = [name for name in table.column_names if name not in NOT_SENSORS]
    asset = pa.array([ASSET] * len(table))
    whole = table.select(["timestamp", *sensors]).append_column("asset", asset)
    path = place.folder / f"{ASSET}.parquet"
    pq.write_table(whole, path)
    pq.write_table(whole.slice(0, table.column("split").to_pylist().index("test")), place.folder / "history.parquet")
    return path, [Message(json.dumps(row).encode(), key=ASSET.encode()) for row in whole.to_pylist()]


def send_one_by_one(cluster: Cluster, topic: str, messages: Sequence[Message]) -> None:
    """Every record acknowledged before the next one is sent."""
    producer = cluster.producer(linger_ms=0)
    try:
        for message in messages:
            producer.send(topic, message.value, message.key).get(timeout=30)
    finally:
        producer.close()


def test_valve1_0_through_kafka_gives_the_alerts_of_backtest_although_killed(cluster: Cluster, tmp_path: Path) -> None:
    """Trained on its first 400 rows; SIGKILL half way; equal in every field, ids included, duplicates removed by id."""
    place = install(cluster, tmp_path / "k", tmp_path / "models", watch=[{"model": "valve"}])
    path, messages = rows(place)
    watchkeeper("train", "--data", place.folder / "history.parquet", "--config", place.config)
    watchkeeper("backtest", "--data", path, "--out", place.folder / "out", "--config", place.config)
    lines = (place.folder / "out" / "alerts.jsonl").read_bytes().splitlines()
    expected = by_id(Alert.model_validate_json(line) for line in lines)
    half = len(messages) // 2
    with place.daemon() as daemon:
        daemon.wait_ready()
        send_one_by_one(cluster, place.topic, messages[:half])
        eventually(lambda: daemon.metric("watchkeeper_records_total") >= half - 50, what="the first half")
        daemon.kill()
    with place.daemon() as daemon:
        send_one_by_one(cluster, place.topic, messages[half:])
        place.await_committed(len(messages))
        assert daemon.stop() == 0
    assert by_id(place.alerts()) == expected
    assert any(alert.data.state is AlertState.OPENED for alert in expected.values())
