"""A model published while the daemon runs: verified, swapped between polls, stamped on every output; same process."""

from pathlib import Path

from detector.bundles.store import MODEL, Store
from schemas.alert import AlertState
from schemas.feed import Scores
from tests.support.installation import Installation, announce, install, story
from tests.support.kafka_client import Cluster, Message, eventually
from tests.support.tiny_bundle import tiny

ALL = {"emit": "all"}


def scores(place: Installation) -> list[Scores]:
    """Everything on the scores topic."""
    return [Scores.model_validate_json(read.value or b"") for read in place.read("scores")]


def test_a_published_model_is_taken_up_without_a_restart(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """In the middle of an incident: same process, no record unscored or scored twice, versions one after the other."""
    place = install(cluster, tmp_path / "k", store, scores=ALL)
    messages = story(["pump-1"], 600, {250: 350})
    half = 300
    cluster.produce(place.topic, messages[:half])
    with place.daemon() as daemon:
        place.await_committed(half)
        pid = daemon.pid
        tiny("v2", model="pump").publish(Store(str(store)))
        announce(place, store, "v2")
        eventually(lambda: daemon.metric("watchkeeper_model_swaps_total") == 1, what="the swap")
        cluster.produce(place.topic, messages[half:])
        place.await_committed(len(messages))
        assert daemon.pid == pid
        assert daemon.stop() == 0
    found = [(offset, part.model_version, score) for part in scores(place) for offset, score in _pairs(part)]
    assert [offset for offset, _, _ in found] == list(range(600))
    assert [version for _, version, _ in found] == ["v1"] * half + ["v2"] * (600 - half)
    assert [offset for offset, _, score in found if score is None] == [0, 1]  # the first window fills, once
    alerts = place.alerts()
    assert [(alert.data.state, alert.data.model_version) for alert in alerts if alert.data.state != "updated"] == [
        (AlertState.OPENED, "v1"),
        (AlertState.CLOSED, "v2"),
    ]
    assert len({alert.data.incident for alert in alerts}) == 1


def test_a_tampered_model_is_refused_and_the_old_one_stays(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """One byte more in the graph, then a manifest that is not the announced one: both refused, logged and counted."""
    place = install(cluster, tmp_path / "k", store, scores=ALL)
    messages = story(["pump-1"], 100, {})
    models = Store(str(store))
    tiny("v2", model="pump").publish(models)
    tiny("v3", model="pump").publish(models)
    graph = store / "pump" / "v2" / MODEL
    graph.write_bytes(graph.read_bytes() + b"\n")
    with place.daemon() as daemon:
        daemon.wait_ready()
        announce(place, store, "v2")
        announce(place, store, "v3", digest="0" * 64)
        eventually(lambda: daemon.metric("watchkeeper_model_refusals_total") == 2, what="two refusals")
        cluster.produce(place.topic, messages)
        place.await_committed(len(messages))
        assert daemon.metric("watchkeeper_model_swaps_total") == 0
        assert daemon.stop() == 0
    assert {part.model_version for part in scores(place)} == {"v1"}
    log = place.log.read_text()
    assert "model.onnx has another SHA-256" in log
    assert "not the one that was announced" in log
    assert "Traceback" not in log


def test_models_promote_reaches_a_running_daemon(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """The command moves the pointer and tells the daemon; rollback tells it again."""
    place = install(cluster, tmp_path / "k", store)
    tiny("v2", model="pump").publish(Store(str(store)))
    with place.daemon() as daemon:
        daemon.wait_ready()
        assert place.command("models", "promote", "pump", "v2").returncode == 0
        eventually(lambda: daemon.metric("watchkeeper_model_info", version="v2") == 1, what="v2 in use")
        assert place.command("models", "rollback", "pump").returncode == 0
        eventually(lambda: daemon.metric("watchkeeper_model_info", version="v1") == 1, what="v1 in use again")
        assert daemon.metric("watchkeeper_model_info", version="v2") == 0
        assert daemon.stop() == 0


def test_nonsense_on_the_control_topic_is_refused_and_counted(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """The control topic is open to people: what cannot be read is said and passed over."""
    place = install(cluster, tmp_path / "k", store)
    with place.daemon() as daemon:
        daemon.wait_ready()
        nonsense = [b"{", b"\xff", b'{"type": "shutdown"}', b'{"type": "model_published", "model": "pump"}']
        cluster.produce(f"{place.topic}.control", [Message(value) for value in nonsense])
        eventually(lambda: daemon.metric("watchkeeper_control_refused_total") == 4, what="four refusals")
        cluster.produce(place.topic, story(["pump-1"], 10, {}))
        place.await_committed(10)
        assert daemon.stop() == 0
    assert "Traceback" not in place.log.read_text()


def _pairs(part: Scores) -> list[tuple[int, float | None]]:
    return list(zip(part.offsets, part.scores, strict=True))
