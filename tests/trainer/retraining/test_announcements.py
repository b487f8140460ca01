"""What is in use is announced, even where the worker ended in between; and a person's word counts more than its own."""

from pathlib import Path

import pytest

from detector.bundles.store import Store
from detector.errors import BrokerError
from detector.transports.control import parse_control
from schemas.config import Settings
from schemas.control import ModelPublished, ModelRejected
from tests.support.tiny_bundle import tiny
from tests.trainer.retraining.test_worker import WHEN, champion, feed, plant, request, settings
from trainer.recipe import train
from trainer.retraining import retrain, worker
from trainer.retraining.announcements import announce_again
from trainer.retraining.retrain import Decision, write_down
from trainer.retraining.worker import RetrainWorker


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """A store in which v1 of `m` is in use and v2 lies beside it."""
    made = settings(tmp_path)
    for version in ("v1", "v2"):
        tiny(version, model="m").publish(Store(made.store))
    Store(made.store).promote("m", "v1")
    return made


def announced(config: Settings) -> list[ModelPublished]:
    path = config.files.directory / f"{config.topics.control}.jsonl"
    found = [parse_control(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [message for message in found if isinstance(message, ModelPublished)]


def publishing(config: Settings) -> Decision:
    """v2 is promoted by the answer."""
    Store(config.store).promote("m", "v2")
    message = ModelPublished(
        id="p", model="m", model_version="v2", manifest_sha256="0" * 64, at=WHEN, answers=request("v1").id
    )
    return Decision(message, "better", {})


def test_an_announcement_that_was_lost_is_sent_when_the_worker_is_back(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoted and written down, then the broker is away: the next start announces it, with its request, once."""

    def away(*_: object) -> None:
        raise BrokerError("the broker is away", "wait")

    with monkeypatch.context() as patched:
        patched.setattr(worker, "send_control", away)
        with pytest.raises(BrokerError):
            RetrainWorker(config, lambda *_: publishing(config)).handle(request("v1"))
    assert announced(config) == []
    for _ in range(2):
        announce_again(config)
    (message,) = announced(config)
    assert (message.model_version, message.answers) == ("v2", "r1")


def test_what_a_person_promoted_without_a_word_is_announced_after_an_announcement(config: Settings) -> None:
    """The topic's last word is v2, and v1 is in use again: v1 is announced. Before any word nothing is."""
    announce_again(config)
    assert announced(config) == []
    decision = publishing(config)
    write_down(config, request("v1"), decision)
    announce_again(config)
    Store(config.store).rollback("m")
    announce_again(config)
    assert [message.model_version for message in announced(config)] == ["v2", "v1"]


def test_a_person_who_rolls_back_during_a_training_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate is better than its champion, but the pointer has moved: it is kept, and the answer says why."""
    config = settings(tmp_path, gate_tolerance=100.0)
    old = champion(config)
    feed(tmp_path, plant(1200))
    store = Store(config.store)
    tiny("persons", model="m").publish(store)

    def interrupted(*arguments: object, **options: object) -> object:
        store.promote("m", "persons")
        return train(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(retrain, "train", interrupted)
    decision = retrain.answer(config, request(old))
    assert isinstance(decision.message, ModelRejected)
    assert decision.reason.startswith("superseded by a person: persons")
    assert decision.message.model_version in store.versions("m")
    assert store.in_use("m") == "persons"
