"""Workers over a real broker: one killed in a training is followed by another, and every request is answered."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.control import ModelRejected, RetrainRequest, Trigger
from tests.support.installation import Installation, install, record
from tests.support.kafka_client import Cluster, Message, eventually
from tests.support.tiny_bundle import WHEN

TAKEOVER_S = 15.0
SLOW = {"pump": {"window": 3, "epochs": 100_000, "patience": 100_000, "folds": 0, "hidden": [64, 64], "period_s": 1.0}}


@contextmanager
def worker(place: Installation, name: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A worker as a process, and its log; killed at the end."""
    log = place.folder / f"{name}.log"
    command = [sys.executable, "-m", "detector.cli", "worker", "--config", str(place.config)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            yield process, log
        finally:
            process.kill()


def ask(place: Installation, number: int, **fields: object) -> None:
    request = RetrainRequest(
        id=f"r{number}", model="pump", model_version=None, trigger=Trigger.PERSON, at=WHEN, reason="a person asks"
    )
    body = request.model_dump(mode="json") | fields
    place.cluster.produce(f"{place.group}.control", [Message(json.dumps(body).encode())])


def answers(place: Installation) -> dict[str | None, str]:
    """Reasons of rejections by request."""
    found = [read.value or b"" for read in place.read("control") if b"model_rejected" in (read.value or b"")]
    return {message.answers: message.reason for message in map(ModelRejected.model_validate_json, found)}


def test_a_worker_that_is_killed_is_followed_within_15_s(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """SIGKILL in a training: the other worker takes the same request up. One that cannot be trained on is answered."""
    place = install(cluster, tmp_path / "k", store, training=SLOW, worker={"min_rows": 200})
    place.configure(kafka={"bootstrap_servers": cluster.bootstrap, "group": place.group, "session_timeout_s": 6})
    with worker(place, "first") as (first, log), worker(place, "second") as (second, other):
        eventually(lambda: all("worker started" in each.read_text() for each in (log, other)), 60, "both workers")
        ask(place, 1, at="1970-01-01T00:00:00Z")
        eventually(lambda: "r1" in answers(place), 60, "an answer")
        assert "is empty" in answers(place)["r1"]
        cluster.produce(place.topic, [record("pump-1", s, 10 + 0.1 * (s % 7), 50 - 0.1 * (s % 5)) for s in range(600)])
        ask(place, 2, at=f"2026-03-01T00:{10:02d}:00Z")
        eventually(lambda: '"r2"' in log.read_text() + other.read_text(), 30, "a training")
        killed, taking = (first, other) if '"r2"' in log.read_text() else (second, log)
        killed.kill()
        eventually(lambda: '"r2"' in taking.read_text(), TAKEOVER_S, "the other worker's training")
