"""The worker: a request is answered once, by a model that is no worse, and every decision is written down."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from detector.bundles.loading import load_bundle
from detector.bundles.store import DECISIONS, Store
from detector.errors import DataError
from schemas.alert import Condition
from schemas.config import Alarms, Files, Settings, WatchRule, WorkerSettings
from schemas.control import DriftFigure, IncidentMark, MarkKind, ModelPublished, ModelRejected, RetrainRequest, Trigger
from schemas.training import Training
from trainer.bundle.publish import publish
from trainer.data.history import AssetHistory, History
from trainer.recipe import train
from trainer.retraining.exclusions import IncidentSpan, false_positives, left_out
from trainer.retraining.gate import CHUNKS, JUDGED_CHUNKS, split
from trainer.retraining.retrain import Decision, answer, normal_history, write_down
from trainer.retraining.worker import RetrainWorker

START = 1_700_000_000
WHEN = datetime.fromtimestamp(START + 2000, UTC)
TRAINING = Training(window=3, epochs=12, folds=0, hidden=(8,), latent=1, score="window", period_s=1.0)


def plant(rows: int, begin: int = 0, shift: float = 0.0) -> np.ndarray:
    """Two coupled sensors (row, sensor)."""
    t = np.arange(begin, begin + rows)
    noise = np.random.default_rng(begin).normal(size=(rows, 2)) * 0.05
    load = np.sin(t / 20)
    return np.stack([load, 2 * load + shift], axis=1) + noise


def settings(folder: Path, **worker: float) -> Settings:
    return Settings(
        transport="files",
        store=str(folder / "models"),
        files=Files(directory=folder),
        watch=(WatchRule(model="m"),),
        training={"m": TRAINING},
        worker=WorkerSettings.model_validate({"history_s": 2000.0, "min_rows": 300, **worker}),
    )


def feed(folder: Path, values: np.ndarray) -> None:
    with (folder / "sensors.jsonl").open("w") as file:
        for i, (a, b) in enumerate(values.tolist()):
            file.write(json.dumps({"asset": "p", "timestamp": START + i, "a": a, "b": b}) + "\n")


def champion(config: Settings) -> str:
    history = History(
        ("a", "b"), (AssetHistory("p", START + np.arange(1500.0), plant(1500).astype(np.float32)),), "made"
    )
    fitted = train(history, "m", TRAINING)
    publish(Store(config.store), fitted, promote=True)
    return fitted.manifest.model_version


def request(version: str | None, trigger: Trigger = Trigger.DRIFT, at: datetime = WHEN) -> RetrainRequest:
    figure = DriftFigure(signal="b", block_mean=1.0, reference_mean=0.0, z=9.0)
    return RetrainRequest(
        id="r1", model="m", model_version=version, trigger=trigger, at=at, reason="", figures=(figure,)
    )


def test_a_drifted_feed_gets_a_better_model(tmp_path: Path) -> None:
    """After a shift the candidate beats the champion on rows it never saw, is promoted, and the decision is written."""
    config = settings(tmp_path)
    old = champion(config)
    feed(tmp_path, np.concatenate([plant(800), plant(1200, 800, shift=3.0)]))
    decision = answer(config, request(old))
    assert isinstance(decision.message, ModelPublished)
    assert decision.figures["candidate_error"] < decision.figures["champion_error"]
    store = Store(config.store)
    pointer = store.pointer("m")
    assert pointer is not None
    assert pointer.model_version == decision.message.model_version != old
    manifest = load_bundle(store, "m", pointer.model_version, decision.message.manifest_sha256).manifest
    assert manifest.parent_version == old
    write_down(config, request(old), decision)
    line = json.loads((tmp_path / "models" / "m" / DECISIONS).read_text())
    assert (line["decision"], line["version"]) == ("model_published", pointer.model_version)


def test_a_worse_candidate_is_kept_and_says_why(tmp_path: Path) -> None:
    """The gate refuses: the champion stays, the candidate lies in the store, the figures are told."""
    config = settings(tmp_path, gate_tolerance=1e-6)
    old = champion(config)
    feed(tmp_path, plant(2000))
    decision = answer(config, request(old))
    assert isinstance(decision.message, ModelRejected)
    assert decision.message.model_version in Store(config.store).versions("m")
    assert "champion's" in decision.reason
    assert Store(config.store).pointer("m").model_version == old  # type: ignore[union-attr]


def test_too_little_normal_history_is_a_refusal_with_a_remedy(tmp_path: Path) -> None:
    """Incidents leave too little: the answer says so, and nothing is trained."""
    config = settings(tmp_path, min_rows=5000)
    old = champion(config)
    feed(tmp_path, plant(2000))
    decision = answer(config, request(old))
    assert isinstance(decision.message, ModelRejected)
    assert decision.message.model_version is None
    assert "worker.min_rows" in decision.reason


def test_the_gate_holds_out_parts_of_the_latest_half() -> None:
    """No row is in both; the gate's rows lie in the latest parts; fitting sees rows of every part."""
    times = np.arange(8000.0)
    history = History(("a",), (AssetHistory("p", times, times[:, None].astype(np.float32)),), "made")
    parts = split(history, 0.25)
    fit, gate = (set(part.assets[0].times.tolist()) for part in (parts.fit, parts.gate))
    assert not fit & gate
    assert min(gate) >= 8000 * (CHUNKS - JUDGED_CHUNKS) / CHUNKS
    assert len(gate) == pytest.approx(1000, abs=8)
    assert {int(t // 1000) for t in fit} == set(range(8))


def test_incidents_are_left_out_but_the_drift_itself_is_not() -> None:
    """An old incident goes, and one of another sensor; one marked false stays in, and one that the drift raised."""
    at = WHEN.timestamp()
    spans = [
        IncidentSpan("old", "p", at - 900, at - 800, "b"),
        IncidentSpan("false", "p", at - 700, at - 600, "a"),
        IncidentSpan("drift", "p", at - 50, float("inf"), "b"),
        IncidentSpan("fault", "q", at - 50, float("inf"), "a"),
    ]
    out = left_out(spans, {"false"}, request("v"), assets=9, drift_s=100.0, margin_s=5.0)
    assert out == {"p": [(at - 905, at - 795)], "q": [(at - 55, float("inf"))]}


def test_alarms_on_half_of_the_assets_at_once_are_the_drift() -> None:
    """They stay in whatever sensor they name; an earlier one and those of a single asset in trouble go."""
    at = WHEN.timestamp()
    wide = [IncidentSpan(f"i{i}", f"p{i}", at - 50, float("inf"), "a") for i in range(2)]
    old = IncidentSpan("old", "p0", at - 900, at - 800, "a")
    assert left_out([old, *wide], set(), request("v"), assets=4, drift_s=100, margin_s=0) == {
        "p0": [(at - 900, at - 800)]
    }
    assert set(left_out(wide, set(), request("v"), assets=5, drift_s=100, margin_s=0)) == {"p0", "p1"}


@pytest.mark.parametrize("condition", [each for each in Condition if each is not Condition.ANOMALY])
def test_a_dead_sensor_is_left_out_though_it_has_moved(condition: Condition) -> None:
    """The sensor that asks died, on each asset: its spans go, with the rows before they were noticed."""
    at, noticed = WHEN.timestamp(), {(Condition.STUCK, "b"): 30.0}
    spans = [IncidentSpan(f"i{i}", f"p{i}", at - 50, float("inf"), "b", condition) for i in range(2)]
    out = left_out(spans, set(), request("v"), assets=2, drift_s=100.0, margin_s=5.0, noticed_s=noticed)
    begin = at - 85 if condition is Condition.STUCK else at - 55
    assert out == {asset: [(begin, float("inf"))] for asset in ("p0", "p1")}


def test_a_retraining_by_schedule_leaves_a_stuck_sensor_out(tmp_path: Path) -> None:
    """The daemon watched it stick and recover; the history keeps what lies before and after, and no stuck row."""
    config = settings(tmp_path).model_copy(update={"alarms": Alarms(quality_off_rows=5)})
    champion(config)
    values = plant(2000)
    values[900:1100, 1] = 0.5
    feed(tmp_path, values)
    file = tmp_path / "watchkeeper.yaml"
    file.write_text(config.model_dump_json(exclude_defaults=True))
    command = [sys.executable, "-m", "detector.cli", "run", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    scorer = load_bundle(Store(config.store), "m", Store(config.store).in_use("m"))
    history = normal_history(config, request(None, Trigger.SCHEDULE), TRAINING, scorer)
    (asset,) = history.assets
    assert not np.any(np.diff(asset.values[:, 1]) == 0)
    assert asset.times.min() < START + 850
    assert asset.times.max() > START + 1150


def test_the_last_mark_counts() -> None:
    """False positive, then confirmed: it is not false; unreadable messages are passed over."""
    marks = [
        IncidentMark(id=str(i), incident=incident, mark=mark, at=WHEN).model_dump_json().encode()
        for i, (incident, mark) in enumerate(
            [("x", MarkKind.FALSE_POSITIVE), ("y", MarkKind.FALSE_POSITIVE), ("y", MarkKind.CONFIRMED)]
        )
    ]
    assert false_positives([*marks, b"rubbish"]) == {"x"}


def test_stale_requests_are_passed_over(tmp_path: Path) -> None:
    """A complaint about another version, an unknown model, or one answered within the cooldown trains nothing."""
    config = settings(tmp_path)
    old = champion(config)
    calls: list[str] = []

    def answering(_: Settings, given: RetrainRequest) -> Decision:
        calls.append(given.id)
        message = ModelRejected(id="d", model="m", model_version=None, at=WHEN, answers=given.id, reason="no")
        return Decision(message, "no", {})

    worker = RetrainWorker(config, answering)
    drift = request(old)
    for stale in (request("another"), drift.model_copy(update={"model": "unknown"})):
        assert worker.handle(stale) is None
    assert worker.handle(drift) is not None
    soon = request(old, at=WHEN + timedelta(seconds=60)).model_copy(update={"id": "r2"})
    assert worker.handle(soon) is None
    assert worker.handle(request(None, Trigger.PERSON)) is not None
    assert worker.handle(request(old, at=WHEN + timedelta(days=2))) is not None
    assert calls == ["r1", "r1", "r1"]


def test_a_scheduled_request_is_answered_once(tmp_path: Path) -> None:
    """What two workers asked for at the same time is trained once: the second finds a version made since."""
    config = settings(tmp_path)
    champion(config)
    answered: list[str] = []

    def answering(_: Settings, given: RetrainRequest) -> Decision:
        answered.append(given.id)
        message = ModelRejected(id="d", model="m", model_version=None, at=WHEN, answers=given.id, reason="no")
        return Decision(message, "no", {})

    worker = RetrainWorker(config, answering)
    assert worker.handle(request(None, Trigger.SCHEDULE, at=WHEN)) is None
    assert worker.handle(request(None, Trigger.SCHEDULE, at=datetime.now(UTC) + timedelta(seconds=60))) is not None
    assert answered == ["r1"]


def test_an_idle_worker_asks_for_what_is_due(tmp_path: Path) -> None:
    """A model without a version is asked for at once and once; with a new version, or without a schedule, nobody is."""
    config = settings(tmp_path, schedule_s=3600.0)
    control = tmp_path / f"{config.topics.control}.jsonl"
    worker = RetrainWorker(config)
    for _ in range(3):
        worker.idle()
    (line,) = control.read_text().splitlines()
    asked = RetrainRequest.model_validate_json(line)
    assert (asked.model, asked.model_version, asked.trigger) == ("m", None, Trigger.SCHEDULE)
    champion(config)
    RetrainWorker(config).idle()
    RetrainWorker(settings(tmp_path)).idle()
    assert len(control.read_text().splitlines()) == 1


def test_an_empty_span_is_one_clear_line(tmp_path: Path) -> None:
    """A feed without rows ends the request with the file's name, not with a traceback."""
    config = settings(tmp_path)
    (tmp_path / "sensors.jsonl").write_text("")
    decision = answer(config, request(None, Trigger.PERSON))
    assert isinstance(decision.message, ModelRejected)
    with pytest.raises(DataError):
        History((), (), "x").between(0, 1)
