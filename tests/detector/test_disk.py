"""What others may write is not believed, and nothing is written that others may write."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import disk
from detector.bundles.loading import load_bundle
from detector.bundles.store import CURRENT, MANIFEST, MODEL, Store
from detector.errors import BundleError, DataError
from detector.transports.files.transport import FileTransport
from schemas.config import Files, Settings
from tests.support.tiny_bundle import tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one version, which is in use."""
    store = Store(str(tmp_path / "models"))
    tiny().publish(store)
    store.promote("pumps", "v1")
    return store


@pytest.fixture
def no_umask() -> Iterator[None]:
    """A process that was started without a umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def _open_to_all(path: Path) -> Path:
    path.chmod(path.stat().st_mode | 0o002)
    return path


@pytest.mark.parametrize("place", ["", "pumps", "pumps/v1", f"pumps/v1/{MANIFEST}", f"pumps/v1/{MODEL}"])
def test_a_bundle_that_everybody_may_write_is_refused(store: Store, place: str) -> None:
    """Store, model, version or file: each lets anybody put another bundle in its place. One line, with the remedy."""
    path = _open_to_all(Path(store.url) / place)
    with pytest.raises(BundleError, match="everybody may write it") as caught:
        load_bundle(store, "pumps", "v1")
    assert f"chmod o-w {path}" in caught.value.remedy
    path.chmod(path.stat().st_mode & ~0o002)
    assert load_bundle(store, "pumps", "v1").manifest.model_version == "v1"


def test_a_pointer_that_everybody_may_write_is_refused(store: Store) -> None:
    """Whoever writes the pointer chooses the model."""
    _open_to_all(Path(store.url) / "pumps" / CURRENT)
    with pytest.raises(BundleError, match="current is refused: everybody may write it"):
        store.pointer("pumps")


def test_a_link_is_judged_by_what_it_leads_to(store: Store, tmp_path: Path) -> None:
    """A link's own mode says nothing."""
    path = Path(store.url) / "pumps" / "v1" / MODEL
    elsewhere = tmp_path / "elsewhere.onnx"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert load_bundle(store, "pumps", "v1").manifest.model_version == "v1"
    _open_to_all(elsewhere)
    with pytest.raises(BundleError, match="everybody may write it"):
        load_bundle(store, "pumps", "v1")


def test_our_own_group_may_write_and_another_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that trainer and daemon share by a group is fine; a group that this process is not in is others."""
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o664)
    disk.refuse_open_to_others(path, BundleError)
    monkeypatch.setattr(os, "getegid", lambda: 65_533)
    monkeypatch.setattr(os, "getgroups", lambda: [65_534])
    with pytest.raises(BundleError, match=f"group {path.stat().st_gid}, which this process is not in"):
        disk.refuse_open_to_others(path, BundleError)


def test_what_is_published_without_a_umask_is_not_open(no_umask: None, tmp_path: Path) -> None:
    """The daemon would refuse what the trainer just wrote: modes do not hang on the trainer's surroundings."""
    (tmp_path / "models").mkdir(mode=0o755)
    store = Store(str(tmp_path / "models"))
    tiny().publish(store)
    store.promote("pumps", "v1")
    for path in (tmp_path / "models" / "pumps").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert load_bundle(store, "pumps", "v1").manifest.model_version == "v1"


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full: the file is as it was, and no half of the new one lies about."""
    path = tmp_path / "file"
    disk.replace(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        disk.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_file_that_everybody_may_write_is_refused(no_umask: None, tmp_path: Path) -> None:
    """Windows and incidents that anybody may make up are no state; ours is the owner's alone, whatever the umask."""
    (tmp_path / "sensors.jsonl").touch()
    settings = Settings(transport="files", files=Files(directory=tmp_path))
    transport = FileTransport(settings)
    transport.commit({0: 1}, 5)
    path = tmp_path / f"{settings.topics.state}.msgpack"
    assert path.stat().st_mode & 0o777 == 0o600
    assert transport.restore(0) == {}
    _open_to_all(path)
    with pytest.raises(DataError, match="everybody may write it"):
        transport.restore(0)
    transport.close(1)
