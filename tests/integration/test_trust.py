"""A running daemon believes signed bundles, tight file modes and messages that it understands; the rest is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.local.process import DaemonProcess
from detector.bundles.store import MODEL, SIGNATURE, Store
from detector.daemon.reload import demand_reloadable
from detector.errors import ConfigError
from schemas.config import Settings, Trust
from tests.detector.bundles.test_signing import Pair, make_pair
from tests.support.installation import Installation, announce, install, story
from tests.support.kafka_client import Cluster, Message, eventually
from tests.support.tiny_bundle import tiny


@pytest.fixture
def keys(tmp_path: Path) -> Pair:
    """The trainer's pair."""
    return make_pair(tmp_path, "trainer")


def _trusting(keys: Pair) -> dict[str, Any]:
    return {"public_keys": [str(keys.public)]}


def _sign(store: Path, keys: Pair, version: str) -> None:
    """Publishes a version with the trainer's signature."""
    tiny(version, model="pump").publish(Store(str(store), Trust(signing_key=keys.private)))


def _refusals(daemon: DaemonProcess) -> float:
    return daemon.metric("watchkeeper_model_refusals_total")


def test_a_daemon_with_a_public_key_does_not_start_on_an_unsigned_bundle(
    cluster: Cluster, store: Path, tmp_path: Path, keys: Pair
) -> None:
    """Exit code 4 and the command that mends it; signed, the same version is taken."""
    place = install(cluster, tmp_path / "k", store, trust=_trusting(keys))
    with place.daemon() as daemon:
        assert daemon.wait(60) == 4
    assert "bundle pump v1 is refused: it is not signed" in place.ending()
    assert "watchkeeper models sign pump v1" in place.ending()
    place.configure(trust=_trusting(keys) | {"signing_key": str(keys.private)})
    assert place.command("models", "sign", "pump", "v1").returncode == 0
    with place.daemon() as daemon:
        daemon.wait_ready()
        assert daemon.stop() == 0


def test_a_running_daemon_takes_up_nothing_that_is_not_trusted(
    cluster: Cluster, store: Path, tmp_path: Path, keys: Pair
) -> None:
    """Unsigned, a stranger's, truncated, another version's, open to everybody: the old model stays; then a good one."""
    place = install(cluster, tmp_path / "k", store, trust=_trusting(keys))
    models = store / "pump"
    _sign(store, keys, "v0")
    Store(str(store)).promote("pump", "v0")
    tiny("unsigned", model="pump").publish(Store(str(store)))
    _sign(store, make_pair(tmp_path, "stranger"), "strange")
    for version in ("truncated", "mismatched", "open", "good"):
        _sign(store, keys, version)
    signature = models / "truncated" / SIGNATURE
    signature.write_bytes(signature.read_bytes()[:-1])
    (models / "mismatched" / SIGNATURE).write_bytes((models / "good" / SIGNATURE).read_bytes())
    (models / "open" / MODEL).chmod(0o666)
    bad = ("unsigned", "strange", "truncated", "mismatched", "open")
    with place.daemon() as daemon:
        daemon.wait_ready()
        for number, version in enumerate(bad, start=1):
            announce(place, store, version)
            eventually(lambda number=number: _refusals(daemon) == number, what=f"the refusal of {version}")  # type: ignore[misc]
        assert daemon.metric("watchkeeper_model_info", version="v0") == 1
        announce(place, store, "good")
        eventually(lambda: daemon.metric("watchkeeper_model_info", version="good") == 1, what="the good one in use")
        cluster.produce(place.topic, story(["pump-1"], 10, {}))
        place.await_committed(10)
        assert daemon.stop() == 0
    refused = _logged(place, "model refused")
    assert [line["version"] for line in refused] == list(bad)
    says = ["not signed", "none of trust.public_keys", "none of trust.public_keys", "another manifest", "mode 0666"]
    assert all(words in line["reason"] for words, line in zip(says, refused, strict=True))
    assert "Traceback" not in place.log.read_text()


def test_a_key_that_is_gone_does_not_stop_the_watch(cluster: Cluster, store: Path, tmp_path: Path, keys: Pair) -> None:
    """At a swap without its key file the daemon can believe nobody: it refuses, and goes on with what it has."""
    place = install(cluster, tmp_path / "k", store, trust=_trusting(keys))
    _sign(store, keys, "v0")
    _sign(store, keys, "v2")
    Store(str(store)).promote("pump", "v0")
    with place.daemon() as daemon:
        daemon.wait_ready()
        keys.public.unlink()
        announce(place, store, "v2")
        eventually(lambda: _refusals(daemon) == 1, what="the refusal")
        cluster.produce(place.topic, story(["pump-1"], 10, {}))
        place.await_committed(10)
        assert daemon.stop() == 0
    with place.daemon() as daemon:
        assert daemon.wait(60) == 2
    assert "trust.public_keys names" in place.ending()


def test_a_bundle_that_everybody_may_write_ends_the_start(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Exit code 4, the file and the chmod in one line."""
    place = install(cluster, tmp_path / "k", store)
    graph = store / "pump" / "v1" / MODEL
    graph.chmod(0o666)
    with place.daemon() as daemon:
        assert daemon.wait(60) == 4
    assert f"{graph} is refused: everybody may write it (mode 0666)" in place.ending()
    assert f"chmod o-w {graph}" in place.ending()


def test_a_control_message_from_the_future_is_refused_with_its_origin(
    cluster: Cluster, store: Path, tmp_path: Path
) -> None:
    """A newer version is not guessed at; the log says where it lies and what to do, and repeats nothing of it."""
    place = install(cluster, tmp_path / "k", store)
    message = {"type": "model_published", "version": 2, "id": "x", "model": "pump", "shiny": "top secret"}
    with place.daemon() as daemon:
        daemon.wait_ready()
        cluster.produce(f"{place.topic}.control", [Message(json.dumps(message).encode())])
        eventually(lambda: daemon.metric("watchkeeper_control_refused_total") == 1, what="the refusal")
        assert daemon.stop() == 0
    (line,) = _logged(place, "control message refused")
    assert line["origin"] == f"{place.topic}.control/0/0"
    assert "newer than this watchkeeper reads" in line["reason"]
    assert "top secret" not in place.log.read_text()


def test_whom_a_running_daemon_trusts_does_not_change_by_a_reload() -> None:
    """A reload that would be passed over in silence is refused: keys, like the store, need a restart."""
    with pytest.raises(ConfigError, match=r"cannot change trust\.public_keys"):
        demand_reloadable(Settings(), Settings(trust=Trust(public_keys=(Path("new.pub"),))))


def _logged(place: Installation, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in place.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]
