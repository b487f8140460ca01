"""`watchkeeper models keys` and `sign`, and what the other commands say of signatures."""

import json
from pathlib import Path

import pytest

from detector.bundles import signing
from detector.bundles.loading import load_bundle
from detector.bundles.store import MODEL, Store
from detector.commands.models import app
from detector.config import load_settings
from detector.daemon.preflight import run_checks
from detector.transports.package import Status
from tests.support.invoke import Ran, invoke
from tests.support.tiny_bundle import tiny


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with a pair that the command made."""
    assert invoke(app, "keys", "--out", tmp_path / "keys").code == 0
    return tmp_path / "keys"


@pytest.fixture
def config(tmp_path: Path, keys: Path) -> Path:
    """A configuration that signs, and trusts its own key."""
    path = tmp_path / "watchkeeper.yaml"
    document = {
        "transport": "files",
        "store": str(tmp_path / "models"),
        "files": {"directory": str(tmp_path)},
        "watch": [{"model": "pumps"}],
        "trust": {"public_keys": [str(keys / "bundles.pub")], "signing_key": str(keys / "bundles.key")},
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Store:
    """The same store with an unsigned version in use, as it was before there were keys."""
    store = Store(str(tmp_path / "models"))
    tiny().publish(store)
    store.promote("pumps", "v1")
    return store


def _models(config: Path, *arguments: str) -> Ran:
    return invoke(app, *arguments, "--config", config)


def test_keys_makes_a_pair_with_its_modes_and_replaces_nothing(keys: Path) -> None:
    """The private key is its owner's alone from its first moment; a second call touches neither file."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in keys.iterdir()}
    assert modes == {"bundles.key": 0o600, "bundles.pub": 0o644}
    before = {path: path.read_bytes() for path in keys.iterdir()}
    ran = invoke(app, "keys", "--out", keys)
    assert (ran.code, "is there already" in ran.err) == (2, True)
    assert {path: path.read_bytes() for path in keys.iterdir()} == before
    ran = invoke(app, "keys", "--out", keys, "--name", "next")
    assert signing.fingerprint(keys / "next.pub") in ran.out
    assert "PRIVATE" not in ran.out


def test_sign_vouches_for_what_is_there(plain: Store, config: Path, keys: Path) -> None:
    """Before, nothing may be done with it; afterwards it is taken, listed and shown with the key's fingerprint."""
    mark = signing.fingerprint(keys / "bundles.pub")
    assert _models(config, "promote", "pumps", "v1").code == 4
    assert "it is not signed" in _models(config, "verify").out
    assert _models(config, "list").lines[1].split()[-1] == "none"
    ran = _models(config, "sign", "pumps", "v1")
    assert (ran.code, mark in ran.out) == (0, True)
    assert load_bundle(Store.of(load_settings(config)), "pumps", "v1").manifest.model_version == "v1"
    assert _models(config, "verify").code == 0
    assert _models(config, "list").lines[1].split()[-1] == mark
    assert json.loads(_models(config, "list", "--json").out)[0]["signature"] == mark
    assert f"by key {mark}" in _models(config, "show", "pumps").out


def test_an_unsound_version_is_not_signed(plain: Store, config: Path) -> None:
    """A signature on a damaged bundle would say that somebody has looked at it."""
    path = Path(plain.url) / "pumps" / "v1" / MODEL
    path.write_bytes(path.read_bytes()[:-1])
    ran = _models(config, "sign", "pumps", "v1")
    assert (ran.code, "another SHA-256" in ran.err) == (4, True)
    assert plain.signature("pumps", "v1") == "none"


def test_sign_without_a_key_says_so(plain: Store, tmp_path: Path) -> None:
    """The configuration's fault, with the name of the key."""
    path = tmp_path / "plain.yaml"
    path.write_text(f"store: {plain.url}\n")
    ran = _models(path, "sign", "pumps", "v1")
    assert (ran.code, "trust.signing_key names no key" in ran.err) == (2, True)


def test_check_says_who_signed_and_fails_for_what_nobody_did(plain: Store, config: Path, keys: Path) -> None:
    """The result fails before signing and names the key afterwards."""

    def model() -> tuple[Status, str]:
        found = next(each for each in run_checks(load_settings(config), 1) if each.subject == "model pumps")
        return found.status, found.message

    assert model()[0] is Status.FAIL
    assert "it is not signed" in model()[1]
    assert _models(config, "sign", "pumps", "v1").code == 0
    assert model()[0] is Status.OK
    assert f"signature: {signing.fingerprint(keys / 'bundles.pub')}" in model()[1]
