"""With public keys configured, a bundle counts only when one of their owners signed exactly its manifest."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

from detector.bundles import signing
from detector.bundles.loading import load_bundle, load_manifest
from detector.bundles.store import GOLDEN, MANIFEST, MODEL, SIGNATURE, Store
from detector.errors import BundleError, ConfigError, WatchkeeperError
from schemas.config import Trust
from tests.support.tiny_bundle import golden_file, tiny
from tests.support.tools import require_tool


@dataclass(frozen=True, slots=True)
class Pair:
    """Two key files."""

    private: Path
    public: Path


def make_pair(folder: Path, name: str) -> Pair:
    """A new pair on the disk, with the modes that the command gives them."""
    pair = Pair(folder / f"{name}.key", folder / f"{name}.pub")
    for path, data, mode in zip((pair.private, pair.public), signing.make_keys(), (0o600, 0o644), strict=True):
        path.write_bytes(data)
        path.chmod(mode)
    return pair


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    """The trainer's pair."""
    return make_pair(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Pair:
    """A stranger's pair."""
    return make_pair(tmp_path, "theirs")


def store_of(tmp_path: Path, *public: Path, sign_with: Path | None = None) -> Store:
    """One and the same store, seen with these keys."""
    return Store(str(tmp_path / "models"), Trust(public_keys=public, signing_key=sign_with))


def _refused(store: Store, says: str) -> None:
    with pytest.raises(BundleError, match=says) as caught:
        load_bundle(store, "pumps", "v1")
    assert "\n" not in str(caught.value)
    assert "watchkeeper models sign pumps v1" in caught.value.remedy


def test_a_signed_bundle_is_taken_by_whoever_has_the_public_key(tmp_path: Path, ours: Pair) -> None:
    """Publishing signs; loading and promoting check; the fingerprint says which key it was."""
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    store = store_of(tmp_path, ours.public)
    assert load_bundle(store, "pumps", "v1").manifest.model_version == "v1"
    assert store.promote("pumps", "v1").model_version == "v1"
    assert store.signature("pumps", "v1") == signing.fingerprint(ours.public)


def test_without_public_keys_signatures_are_not_asked_for(tmp_path: Path, ours: Pair) -> None:
    """Signing is an option: a store as it always was works, and so does one that is signed."""
    tiny("v1").publish(store_of(tmp_path))
    tiny("v2").publish(store_of(tmp_path, sign_with=ours.private))
    store = store_of(tmp_path)
    for version, signature in (("v1", "none"), ("v2", "unchecked")):
        assert load_bundle(store, "pumps", version).manifest.model_version == version
        assert store.signature("pumps", version) == signature


def test_an_unsigned_bundle_is_refused_and_not_put_into_use(tmp_path: Path, ours: Pair) -> None:
    """Neither loaded nor promoted, and the line names the command that mends it."""
    tiny().publish(store_of(tmp_path))
    store = store_of(tmp_path, ours.public)
    _refused(store, "it is not signed")
    with pytest.raises(BundleError, match="it is not signed"):
        store.promote("pumps", "v1")
    assert store.pointer("pumps") is None


def test_a_strangers_signature_is_refused(tmp_path: Path, ours: Pair, theirs: Pair) -> None:
    """A good signature by a key that nobody trusts."""
    tiny().publish(store_of(tmp_path, sign_with=theirs.private))
    store = store_of(tmp_path, ours.public)
    _refused(store, "none of trust.public_keys")
    assert store.signature("pumps", "v1") == "untrusted"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda _data: b"",
        lambda data: data + b"\n",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1] + bytes([data[-1] ^ 128]),
    ],
    ids=["truncated", "empty", "longer", "first bit", "last bit"],
)
def test_a_damaged_signature_is_refused(tmp_path: Path, ours: Pair, damage: Callable[[bytes], bytes]) -> None:
    """Whatever stands in the file, the answer is the same line."""
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    path = tmp_path / "models" / "pumps" / "v1" / SIGNATURE
    path.write_bytes(damage(path.read_bytes()))
    _refused(store_of(tmp_path, ours.public), "none of trust.public_keys")


def test_a_manifest_that_was_changed_after_signing_is_refused(tmp_path: Path, ours: Pair) -> None:
    """A raised threshold, with every hash still right, is what only the signature notices."""
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    path = tmp_path / "models" / "pumps" / "v1" / MANIFEST
    document = json.loads(path.read_bytes())
    document["calibration"]["threshold"] = 1e9
    path.write_text(json.dumps(document))
    assert load_bundle(store_of(tmp_path), "pumps", "v1").manifest.calibration.threshold == 1e9
    _refused(store_of(tmp_path, ours.public), "for another manifest")


def test_files_of_a_signed_bundle_are_covered_by_its_hashes(tmp_path: Path, ours: Pair) -> None:
    """The signature is the manifest's, the manifest's hashes are the files'."""
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    for name in (MODEL, GOLDEN):
        path = tmp_path / "models" / "pumps" / "v1" / name
        data = path.read_bytes()
        path.write_bytes(data + b" ")
        with pytest.raises(BundleError, match="another SHA-256"):
            load_bundle(store_of(tmp_path, ours.public), "pumps", "v1")
        path.write_bytes(data)


def test_a_signature_of_another_version_does_not_pass(tmp_path: Path, ours: Pair) -> None:
    """Signed parts cannot be mixed: each signature is for one manifest, and that names its model and version."""
    for version in ("v1", "v2"):
        tiny(version).publish(store_of(tmp_path, sign_with=ours.private))
    one, two = (tmp_path / "models" / "pumps" / version for version in ("v1", "v2"))
    (one / SIGNATURE).write_bytes((two / SIGNATURE).read_bytes())
    _refused(store_of(tmp_path, ours.public), "for another manifest")
    (one / MANIFEST).write_bytes((two / MANIFEST).read_bytes())
    with pytest.raises(BundleError, match="stands in the folder of pumps v1"):
        load_bundle(store_of(tmp_path, ours.public), "pumps", "v1")


def test_keys_are_rotated_without_a_gap(tmp_path: Path, ours: Pair) -> None:
    """Both keys are trusted for a while; signing again replaces the signature; then the old key may go."""
    new = make_pair(tmp_path, "new")
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    both = store_of(tmp_path, ours.public, new.public, sign_with=new.private)
    assert both.signature("pumps", "v1") == signing.fingerprint(ours.public)
    both.sign("pumps", "v1", load_manifest(both, "pumps", "v1")[1])
    assert load_bundle(store_of(tmp_path, new.public), "pumps", "v1").manifest.model_version == "v1"
    _refused(store_of(tmp_path, ours.public), "none of trust.public_keys")


def test_only_what_was_judged_is_signed(tmp_path: Path, ours: Pair) -> None:
    """A manifest that is exchanged between the look and the signature is not signed."""
    store = store_of(tmp_path, sign_with=ours.private)
    tiny().publish(store_of(tmp_path))
    with pytest.raises(BundleError, match="changed just now"):
        store.sign("pumps", "v1", "0" * 64)
    assert store.signature("pumps", "v1") == "none"


def test_nothing_is_published_with_a_key_that_nobody_here_trusts(tmp_path: Path, ours: Pair, theirs: Pair) -> None:
    """Found before the training by the check, and at the latest before the first byte is written."""
    store = store_of(tmp_path, ours.public, sign_with=theirs.private)
    for attempt in (store.check_signing_key, lambda: tiny().publish(store)):
        with pytest.raises(ConfigError, match=r"belongs to none of trust\.public_keys"):
            attempt()
    assert store.versions("pumps") == []


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o644])
def test_a_private_key_that_others_may_read_is_not_used(tmp_path: Path, ours: Pair, mode: int) -> None:
    """What others may have read proves nothing: the line says chmod and to make a new pair."""
    ours.private.chmod(mode)
    with pytest.raises(ConfigError, match=f"open to others .mode {mode:04o}.") as caught:
        signing.sign(ours.private, b"data")
    assert "chmod 0600" in caught.value.remedy


def test_a_mounted_secret_of_root_may_be_read_by_our_group(
    tmp_path: Path, ours: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes gives a secret to a pod as root's file of mode 0440: another user can get it no other way."""
    if ours.private.stat().st_uid != 0:
        pytest.skip("only root owns root's files")
    monkeypatch.setattr(os, "geteuid", lambda: 10_001)
    ours.private.chmod(0o440)
    assert signing.sign(ours.private, b"data")
    ours.private.chmod(0o444)
    with pytest.raises(ConfigError, match="open to others"):
        signing.sign(ours.private, b"data")


def _elliptic() -> tuple[bytes, bytes]:
    """A pair of keys of another kind."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()),
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo),
    )


@pytest.mark.parametrize("data", [b"", b"no key", golden_file(), *_elliptic()], ids=["empty", "text", "json", "k", "p"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, data: bytes) -> None:
    """Anything else than an Ed25519 key is the configuration's fault, in one line."""
    path = tmp_path / "file"
    path.write_bytes(data)
    path.chmod(0o600)
    attempts: list[Callable[[], object]] = [
        lambda: signing.sign(path, b"data"),
        lambda: signing.signer_of([path], b"data", bytes(64)),
        lambda: signing.fingerprint(path),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="does not hold an Ed25519") as caught:
            attempt()
        assert str(path) in caught.value.problem


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the setting that names it."""
    for setting, attempt in (
        ("trust.signing_key", lambda: signing.sign(tmp_path / "gone", b"")),
        ("trust.public_keys", lambda: signing.signer_of([tmp_path / "gone"], b"", b"")),
    ):
        with pytest.raises(WatchkeeperError, match=f"{setting} names .*gone, which cannot be read"):
            attempt()


def test_openssl_agrees(tmp_path: Path, ours: Pair) -> None:
    """Another program checks our signature and our fingerprint: neither is a format of our own."""
    require_tool("openssl", "openssl")
    tiny().publish(store_of(tmp_path, sign_with=ours.private))
    folder = tmp_path / "models" / "pumps" / "v1"
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(ours.public), "-rawin"]
    verify += ["-in", str(folder / MANIFEST), "-sigfile", str(folder / SIGNATURE)]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    convert = ["openssl", "pkey", "-pubin", "-in", str(ours.public), "-outform", "DER"]
    der = subprocess.run(convert, capture_output=True, check=True).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
    assert digest.decode().startswith(signing.fingerprint(ours.public))
