"""An announced model waits for a store that is away; the watch waits for neither."""

import time
from collections.abc import Iterator
from threading import Event

import pytest

from detector.bundles.loading import OnnxScorer, load_bundle, load_manifest
from detector.bundles.store import Store
from detector.daemon.metrics import Metrics
from detector.daemon.swaps import COMPARE_EVERY_S, Swaps
from schemas.config import Settings, WatchRule
from schemas.control import ModelPublished
from tests.support.failing_store import URL, EndpointConnectionError, empty, failing, register
from tests.support.tiny_bundle import WHEN, tiny


@pytest.fixture
def used() -> Iterator[dict[str, OnnxScorer]]:
    """A bucket with three versions; the first is in use."""
    register()
    empty()
    store = Store(URL)
    for version in ("v1", "v2", "v3"):
        tiny(version).publish(store)
    store.promote("pumps", "v1")
    yield {"pumps": load_bundle(store, "pumps", "v1")}
    empty()


def published(version: str, sha256: str | None = None) -> ModelPublished:
    _, digest = load_manifest(Store(URL), "pumps", version) if sha256 is None else (None, sha256)
    return ModelPublished(id=version, model="pumps", model_version=version, manifest_sha256=digest, at=WHEN)


def swaps(used: dict[str, OnnxScorer]) -> Swaps:
    return Swaps(Settings(store=URL, watch=(WatchRule(model="pumps"),)), Metrics(), used, 0.0)


def take(over: Swaps, used: dict[str, OnnxScorer], now: float) -> list[str]:
    """Versions to swap in, once the thread that asks the store has ended."""
    for _ in range(400):
        if found := over.take(used, now):
            return [scorer.manifest.model_version for scorer in found]
        if all(wanted.question is None for wanted in over._wanted.values()):
            break
        time.sleep(0.01)
    return []


@pytest.mark.parametrize("fault", [EndpointConnectionError(), PermissionError("Access Denied")], ids=["away", "denied"])
def test_a_store_that_is_away_is_asked_again(
    used: dict[str, OnnxScorer], fault: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """No refusal, a line with the exception's name, and the model is taken up when the store answers."""
    over = swaps(used)
    message = published("v2")
    with failing(fault):
        over.announce(message, used, 0.0)
        assert take(over, used, 0.0) == []
        assert take(over, used, 0.5) == []  # not yet
        assert take(over, used, 1.1) == []
    assert type(fault).__name__ in capsys.readouterr().out
    assert take(over, used, 2.0) == []  # two seconds this time
    assert take(over, used, 3.2) == ["v2"]
    assert over._metrics.refusals.labels("pumps")._value.get() == 0
    assert take(over, used, 99.0) == []


def test_a_newer_announcement_replaces_one_that_waits(used: dict[str, OnnxScorer]) -> None:
    """Only the newest version is taken up; one that says the version in use takes the waiting one back."""
    over = swaps(used)
    message = published("v2")
    with failing(EndpointConnectionError()):
        over.announce(message, used, 0.0)
        assert take(over, used, 0.0) == []
    over.announce(published("v3"), used, 0.1)
    assert take(over, used, 0.1) == ["v3"]
    over.announce(published("v2"), used, 0.2)
    over.announce(published("v1"), used, 0.3)
    assert take(over, used, 99.0) == []


def test_a_slow_store_holds_nobody_up(used: dict[str, OnnxScorer]) -> None:
    """It is asked on a thread: the loop's question takes no time, and the model comes when it is there."""
    over, answers, message = swaps(used), Event(), published("v2")
    with failing(answers.wait):
        over.announce(message, used, 0.0)
        begun = time.monotonic()
        assert over.take(used, 0.0) == []
        assert time.monotonic() - begun < 0.5
        answers.set()
        assert take(over, used, 0.1) == ["v2"]


def test_a_bad_bundle_is_refused_once(used: dict[str, OnnxScorer]) -> None:
    """What the store gave does not fit: counted, and not asked for again."""
    over = swaps(used)
    over.announce(published("v2", "0" * 64), used, 0.0)
    assert take(over, used, 0.0) == []
    assert over._metrics.refusals.labels("pumps")._value.get() == 1
    assert over._wanted == {}


def test_a_store_that_is_away_when_pointers_are_compared_is_said_once(
    used: dict[str, OnnxScorer], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no refusal, and the comparison after that finds what was put into use meanwhile."""
    over = swaps(used)
    with failing(EndpointConnectionError()):
        for minute in (1, 2, 3):
            compare(over, used, minute * COMPARE_EVERY_S)
    assert capsys.readouterr().out.count("EndpointConnectionError") == 1
    assert over._metrics.refusals.labels("pumps")._value.get() == 0
    Store(URL).promote("pumps", "v2")
    compare(over, used, 4 * COMPARE_EVERY_S)
    assert take(over, used, 4 * COMPARE_EVERY_S) == ["v2"]


def compare(over: Swaps, used: dict[str, OnnxScorer], now: float) -> None:
    """Once the thread that asks the store has ended."""
    over.compare(used, now)
    while over._comparing is not None:
        time.sleep(0.01)
        over.compare(used, now)
