"""What the store's pointer says reaches a running daemon, whether its announcement arrived or not."""

from pathlib import Path

import pytest

from detector.bundles.loading import OnnxScorer, load_bundle, load_manifest
from detector.bundles.store import MODEL, Store
from detector.daemon.metrics import Metrics
from detector.daemon.swaps import COMPARE_EVERY_S, Swaps
from schemas.config import Settings, WatchRule
from schemas.control import ModelPublished
from tests.support.tiny_bundle import WHEN, tiny

MINUTE = COMPARE_EVERY_S


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with three versions, the first of them in use."""
    made = Store(str(tmp_path / "models"))
    for version in ("v1", "v2", "v3"):
        tiny(version).publish(made)
    made.promote("pumps", "v1")
    return made


def swaps(store: Store) -> tuple[Swaps, Metrics, dict[str, OnnxScorer]]:
    metrics = Metrics()
    used = {"pumps": load_bundle(store, "pumps", "v1")}
    return Swaps(Settings(store=store.url, watch=(WatchRule(model="pumps"),)), metrics, used, 0.0), metrics, used


def taken(over: Swaps, used: dict[str, OnnxScorer]) -> list[str]:
    return [scorer.manifest.model_version for scorer in over.take(used, 1e9)]


def test_a_lost_announcement_costs_a_minute(store: Store) -> None:
    """Nobody announces v2: it is taken up at the next comparison, once; a rollback likewise."""
    over, _, used = swaps(store)
    store.promote("pumps", "v2")
    over.compare(used, MINUTE - 1)
    assert taken(over, used) == []
    over.compare(used, MINUTE)
    assert taken(over, used) == ["v2"]
    used["pumps"] = load_bundle(store, "pumps", "v2")
    over.compare(used, 2 * MINUTE)
    assert taken(over, used) == []
    store.rollback("pumps")
    over.compare(used, 3 * MINUTE)
    assert taken(over, used) == ["v1"]


def test_a_version_that_is_refused_is_tried_again_and_logged_once(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A graph that is damaged at the moment: refused with one line, the old one stays; mended, it is taken up."""
    over, metrics, used = swaps(store)
    store.promote("pumps", "v2")
    graph = Path(store.url) / "pumps" / "v2" / MODEL
    sound = graph.read_bytes()
    graph.write_bytes(sound + b"\n")
    for minute in (1, 2, 3):
        over.compare(used, minute * MINUTE)
        assert taken(over, used) == []
    assert capsys.readouterr().out.count("model refused") == 1
    assert metrics.refusals.labels("pumps")._value.get() == 1
    graph.write_bytes(sound)
    over.compare(used, 4 * MINUTE)
    assert taken(over, used) == ["v2"]


def test_a_pointer_that_did_not_move_takes_nothing_back(store: Store) -> None:
    """Somebody announced v3 without putting it into use: it stays until the pointer moves."""
    over, _, used = swaps(store)
    digest = load_manifest(store, "pumps", "v3")[1]
    message = ModelPublished(id="1", model="pumps", model_version="v3", manifest_sha256=digest, at=WHEN)
    over.announce(message, used, 0.0)
    assert taken(over, used) == ["v3"]
    used["pumps"] = load_bundle(store, "pumps", "v3")
    over.compare(used, MINUTE)
    assert taken(over, used) == []
    store.promote("pumps", "v2")
    over.compare(used, 2 * MINUTE)
    assert taken(over, used) == ["v2"]


def test_each_announcement_is_judged_and_the_newest_good_one_counts(store: Store) -> None:
    """Several announcements in one poll: a bad one is refused and counted, and takes no good one's place."""
    over, metrics, used = swaps(store)
    for version, good in (("v2", True), ("v3", False)):
        digest = load_manifest(store, "pumps", version)[1] if good else "0" * 64
        message = ModelPublished(id=version, model="pumps", model_version=version, manifest_sha256=digest, at=WHEN)
        over.announce(message, used, 0.0)
    assert taken(over, used) == ["v2"]
    assert taken(over, used) == []
    assert metrics.refusals.labels("pumps")._value.get() == 1
