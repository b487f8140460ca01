"""`watchkeeper models` shows the store as it is, and never puts an unsound version into use."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from detector.bundles.loading import load_manifest
from detector.bundles.store import CURRENT, MODEL, Store
from detector.commands.models import app
from detector.errors import BrokerError, BundleError
from schemas.config import Settings
from schemas.control import ModelPublished
from schemas.manifest import Pointer
from tests.support.invoke import Ran, invoke
from tests.support.tiny_bundle import tiny


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose store and control file lie in the test's own folder."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(f"transport: files\nstore: {tmp_path / 'models'}\nfiles: {{directory: {tmp_path / 'feed'}}}\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two versions of one model, the first of them in use, and one version of another."""
    store = Store(str(tmp_path / "models"))
    for version in ("v1", "v2"):
        tiny(version).publish(store)
    tiny("w1", model="fans").publish(store)
    store.promote("pumps", "v1")
    return store


def _models(config: Path, *arguments: str) -> Ran:
    return invoke(app, *arguments, "--config", config)


def _announced(config: Path) -> list[ModelPublished]:
    path = config.parent / "feed" / "watchkeeper.control.jsonl"
    return [ModelPublished.model_validate_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def _damage(store: Store, version: str) -> None:
    path = Path(store.url) / "pumps" / version / MODEL
    path.write_bytes(path.read_bytes()[:-1])


def test_list_marks_the_version_in_use(store: Store, config: Path) -> None:
    """One line a version, in columns; the star is on the one that daemons use."""
    ran = _models(config, "list")
    head, *rows, last = ran.lines
    assert head.split() == ["model", "version", "created", "family", "sensors", "window", "threshold", "signature"]
    assert [row.split()[:3] for row in rows if row.startswith("*")] == [["*", "pumps", "v1"]]
    assert [row.strip(" *").split()[:2] for row in rows] == [["fans", "w1"], ["pumps", "v1"], ["pumps", "v2"]]
    assert last.startswith("next: ")
    assert len(_models(config, "list", "--model", "fans").lines) == 3


def test_list_as_json_has_the_figures(store: Store, config: Path) -> None:
    """What machines compare: use, threshold, metrics, the manifest's hash."""
    rows = json.loads(_models(config, "list", "--json").out)
    assert {(row["model"], row["version"]): row["in_use"] for row in rows} == {
        ("fans", "w1"): False,
        ("pumps", "v1"): True,
        ("pumps", "v2"): False,
    }
    assert rows[1]["threshold"] == 4.0
    assert rows[1]["manifest_sha256"] == load_manifest(store, "pumps", "v1")[1]


def test_list_shows_a_version_that_cannot_be_read(store: Store, config: Path) -> None:
    """A broken manifest is a line with its fault, and the others are still listed."""
    (Path(store.url) / "pumps" / "v2" / "manifest.json").write_text("{}")
    ran = _models(config, "list")
    assert ran.code == 0
    assert any(line.startswith("!  pumps  v2") and "not valid" in line for line in ran.lines)
    assert sum("fans" in line for line in ran.lines) == 1


@pytest.mark.parametrize("arguments", [("list",), ("list", "--model", "fans"), ("verify",), ("verify", "fans")])
def test_an_empty_store_is_said(config: Path, arguments: tuple[str, ...]) -> None:
    """Nothing to list or verify is the store's fault, not a success."""
    ran = _models(config, *arguments)
    assert ran.code == 4
    assert str(config.parent / "models") in ran.err


def test_show_tells_what_a_version_needs_and_where_it_is_from(store: Store, config: Path) -> None:
    """Sensors with units, threshold, delays, history; the version in use where none is named."""
    ran = _models(config, "show", "pumps")
    for fact in ("pumps v1", "flow (l/min), temperature (°C)", "percentile of 100", "opens after 2 s", "history.csv"):
        assert fact in ran.out
    assert json.loads(_models(config, "show", "pumps", "v2", "--json").out)["model_version"] == "v2"
    ran = _models(config, "show", "fans")
    assert ran.code == 4
    assert "no version of fans is in use" in ran.err


def test_verify_says_sound_or_names_the_fault(store: Store, config: Path) -> None:
    """All versions are judged, and one that is unsound makes the exit code 4."""
    ran = _models(config, "verify")
    assert (ran.code, ran.lines) == (0, ["fans w1: sound", "pumps v1: sound", "pumps v2: sound"])
    _damage(store, "v2")
    ran = _models(config, "verify")
    assert ran.code == 4
    assert ran.lines[:2] == ["fans w1: sound", "pumps v1: sound"]
    assert "another SHA-256" in ran.lines[2]
    assert "1 of 3 versions are unsound" in ran.err
    assert _models(config, "verify", "pumps", "v1").code == 0
    verdicts = json.loads(_models(config, "verify", "pumps", "--json").out)
    assert [verdict["fault"] is None for verdict in verdicts] == [True, False]


def test_promote_moves_the_pointer_and_tells_the_daemons(store: Store, config: Path) -> None:
    """One announcement with the manifest's hash, so that a running daemon swaps to exactly this bundle."""
    ran = _models(config, "promote", "pumps", "v2")
    assert ran.code == 0
    assert store.pointer("pumps") == Pointer(model_version="v2", previous="v1")
    (message,) = _announced(config)
    assert (message.model, message.model_version) == ("pumps", "v2")
    assert message.manifest_sha256 == load_manifest(store, "pumps", "v2")[1]
    assert ran.lines[0] == "pumps is at v2 (before: v1)"
    assert "models rollback pumps" in ran.lines[-1]


def test_rollback_goes_back_and_tells_the_daemons(store: Store, config: Path) -> None:
    """The pointer and the announcement name the version before."""
    _models(config, "promote", "pumps", "v2", "--no-announce")
    assert _announced(config) == []
    ran = _models(config, "rollback", "pumps", "--json")
    assert json.loads(ran.out)["model_version"] == "v1"
    assert store.pointer("pumps") == Pointer(model_version="v1", previous="v2")
    assert [message.model_version for message in _announced(config)] == ["v1"]


@pytest.mark.parametrize("arguments", [("promote", "pumps", "v2"), ("promote", "pumps", "v9"), ("rollback", "pumps")])
def test_an_unsound_or_absent_version_is_not_put_into_use(
    store: Store, config: Path, arguments: tuple[str, ...]
) -> None:
    """The pointer stays, nobody is told, and the exit code says that the bundle is at fault."""
    _damage(store, "v2")
    if arguments[0] == "rollback":
        pointer = Pointer(model_version="v1", previous="v2")
        (Path(store.url) / "pumps" / CURRENT).write_text(pointer.model_dump_json())
    before = store.pointer("pumps")
    ran = _models(config, *arguments)
    assert ran.code == 4
    assert store.pointer("pumps") == before
    assert _announced(config) == []


def test_a_rollback_without_a_past_is_refused(store: Store, config: Path) -> None:
    """There is one line, and the version in use stays."""
    ran = _models(config, "rollback", "pumps")
    assert ran.code == 4
    assert "no earlier version" in ran.err
    assert _announced(config) == []


def test_a_broker_that_is_away_does_not_hide_that_the_pointer_moved(
    store: Store, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has changed and the daemons do not know: both are said, with the command that mends it."""

    def away(_settings: Settings, _message: ModelPublished) -> None:
        raise BrokerError("no broker answers at b:9092", "start it")

    monkeypatch.setattr(sys.modules["detector.commands.models"], "send_control", away)
    ran = _models(config, "promote", "pumps", "v2")
    assert ran.code == 5
    assert "pumps is at v2 in the store, but running daemons could not be told (no broker answers" in ran.err
    assert "watchkeeper models promote pumps v2" in ran.err
    assert store.pointer("pumps") == Pointer(model_version="v2", previous="v1")


def test_prune_keeps_the_newest_the_one_in_use_and_its_parent(store: Store, config: Path) -> None:
    """Of six versions two are kept, and v1 (in use), v2 (to go back to); --dry-run removes nothing."""
    for version in ("v3", "v4", "v5", "v6"):
        tiny(version).publish(store)
    store.promote("pumps", "v2")
    store.promote("pumps", "v1")
    said = _models(config, "prune", "--keep", "2", "--model", "pumps", "--dry-run").lines
    assert said[:2] == ["would remove pumps v3", "would remove pumps v4"]
    assert len(store.versions("pumps")) == 6
    assert _models(config, "prune", "--keep", "2").lines[:2] == ["removing pumps v3", "removing pumps v4"]
    assert store.versions("pumps") == ["v1", "v2", "v5", "v6"]
    assert store.versions("fans") == ["w1"]
    assert _models(config, "prune", "--keep", "2").lines[0].startswith("nothing to remove")


def test_prune_keeps_the_parent_of_the_version_in_use(store: Store, config: Path) -> None:
    """What the version in use was compared with stays, though nothing points at it."""
    made = tiny("v3")
    replace(made, manifest=made.manifest.model_copy(update={"parent_version": "v2"})).publish(store)
    (Path(store.url) / "pumps" / CURRENT).write_text(Pointer(model_version="v3", previous=None).model_dump_json())
    assert json.loads(_models(config, "prune", "--keep", "1", "--json").out) == [
        {"model": "pumps", "version": "v1", "removed": True}
    ]
    assert store.versions("pumps") == ["v2", "v3"]


def test_a_version_in_use_is_not_removed(store: Store) -> None:
    """Whoever asks: the store refuses."""
    with pytest.raises(BundleError, match="in use"):
        store.remove("pumps", "v1")
    assert store.versions("pumps") == ["v1", "v2"]
