"""Every request is answered: whatever fails, a rejection says why, and the worker goes on."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detector.bundles.store import DECISIONS, Store
from detector.errors import BrokerError, BundleError
from detector.transports.control import parse_control
from schemas.config import Settings
from schemas.control import ModelRejected, RetrainRequest, Trigger
from tests.trainer.retraining.test_worker import START, champion, feed, plant, request, settings
from trainer.retraining import gate, retrain
from trainer.retraining.attempts import MAX_ATTEMPTS
from trainer.retraining.retrain import Decision
from trainer.retraining.worker import RetrainWorker


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the worker may run."""


def raising(error: BaseException) -> Callable[..., Decision]:
    def fail(*_: object, **__: object) -> Decision:
        raise error

    return fail


def sent(config: Settings) -> list[ModelRejected]:
    """The rejections on the control topic."""
    path = config.files.directory / f"{config.topics.control}.jsonl"
    found = [parse_control(line) for line in path.read_bytes().splitlines()]
    return [message for message in found if isinstance(message, ModelRejected)]


def rejection(config: Settings, given: RetrainRequest) -> ModelRejected:
    """What the real worker answers; its answer is on the topic and among the decisions."""
    decision = RetrainWorker(config).handle(given)
    assert decision is not None
    (message,) = [each for each in sent(config) if each.answers == given.id]
    assert message == decision.message
    line = json.loads(Store(config.store).read_beside("m", DECISIONS).splitlines()[-1])
    assert (line["decision"], line["reason"]) == ("model_rejected", message.reason)
    return message


def test_a_gate_without_a_full_window_is_answered_before_the_training(tmp_path: Path) -> None:
    """A week of outage and two rows since: no version is made, the champion stays, the reason is told."""
    config = settings(tmp_path, history_s=10_000_000.0, min_rows=100)
    old = champion(config)
    feed(tmp_path, plant(1500))
    with (tmp_path / "sensors.jsonl").open("a") as file:
        for second in (604_800, 604_801):
            file.write(json.dumps({"asset": "p", "timestamp": START + second, "a": 0.1, "b": 0.2}) + "\n")
    message = rejection(config, request(None, Trigger.PERSON, at=datetime.now(UTC)))
    assert "window" in message.reason
    assert message.model_version is None
    assert Store(config.store).versions("m") == [old]


@pytest.mark.parametrize(
    "at", [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
)
def test_a_request_of_another_age_is_answered(tmp_path: Path, at: datetime) -> None:
    """Year 1, 1970 and 9999: a request is answered, whatever its time says."""
    config = settings(tmp_path, min_rows=5000)
    old = champion(config)
    feed(tmp_path, plant(500))
    assert "worker.min_rows" in rejection(config, request(old, Trigger.PERSON, at=at)).reason


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokerError("the topic cannot be read", "look"), "the topic cannot be read: look"),
        (BundleError("the store is away", "look"), "the store is away: look"),
        (MemoryError(), "more memory"),
        (RuntimeError("\x1b[31mnobody\nexpected"), "RuntimeError: ?[31mnobody?expected"),
    ],
)
def test_whatever_fails_is_the_reason_of_a_rejection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    """The broker's, the store's, the machine's and nobody's fault: each is one line of an answer."""
    config = settings(tmp_path)
    old = champion(config)
    monkeypatch.setattr(retrain, "topic_history", raising(error))
    assert told in rejection(config, request(old)).reason


def test_a_candidate_whose_judgement_failed_is_named_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate breaks after the training: the answer names the version that lies in the store."""
    config = settings(tmp_path)
    old = champion(config)
    feed(tmp_path, plant(1200))
    monkeypatch.setattr(gate, "judge", raising(MemoryError()))
    message = rejection(config, request(old))
    store = Store(config.store)
    assert message.model_version in store.versions("m")
    assert store.in_use("m") == old


def test_a_pointer_that_cannot_be_read_is_answered(tmp_path: Path) -> None:
    """The store holds rubbish: the request is answered with the remedy, and the next one too."""
    config = settings(tmp_path)
    champion(config)
    (tmp_path / "models" / "m" / "current").write_text("rubbish")
    assert "models promote" in rejection(config, request(None, Trigger.PERSON)).reason


def test_a_request_that_kills_the_worker_is_tried_three_times(tmp_path: Path) -> None:
    """Killed, killed, killed: then it is answered as rejected; another request is trained as usual."""
    config = settings(tmp_path)
    old = champion(config)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            RetrainWorker(config, raising(Killed())).handle(request(old))
    message = rejection(config, request(old))
    assert message.reason.startswith("3 workers ended")
    other = request(old, Trigger.PERSON, at=datetime.now(UTC) + timedelta(days=1)).model_copy(update={"id": "r2"})
    with pytest.raises(Killed):
        RetrainWorker(config, raising(Killed())).handle(other)


def test_a_worker_that_is_stopped_used_up_no_attempt(tmp_path: Path) -> None:
    """A person stops it at its training as often as he likes: the request stays to be answered."""
    config = settings(tmp_path)
    old = champion(config)
    for _ in range(MAX_ATTEMPTS + 2):
        with pytest.raises(KeyboardInterrupt):
            RetrainWorker(config, raising(KeyboardInterrupt())).handle(request(old))


def test_a_full_disk_does_not_keep_an_answer_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the decision nor the count can be written: the rejection is sent all the same."""
    config = settings(tmp_path, min_rows=5000)
    old = champion(config)
    feed(tmp_path, plant(500))
    monkeypatch.setattr(Store, "write_beside", raising(OSError(28, "No space left on device")))
    assert RetrainWorker(config).handle(request(old)) is not None
    assert len(sent(config)) == 1
