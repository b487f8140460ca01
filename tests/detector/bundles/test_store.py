"""The store keeps versions whole and immutable, and its pointer moves in one step, on a disk and in a bucket."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from detector.bundles.store import CURRENT, GOLDEN, MANIFEST, MODEL, Store
from detector.errors import BundleError, ConfigError
from schemas.manifest import Pointer
from tests.support.tiny_bundle import tiny


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store on a disk, and one in a bucket (fsspec's own in-memory one)."""
    if request.param == "disk":
        yield Store(str(tmp_path / "models"))
        return
    yield Store("memory://models")
    bucket = fsspec.filesystem("memory")
    bucket.store.clear()
    bucket.pseudo_dirs[:] = [""]


def test_an_empty_store_has_nothing_and_says_so(store: Store) -> None:
    """A store that nobody wrote to is no error until something is asked of it."""
    assert store.models() == []
    assert store.versions("pumps") == []
    assert store.pointer("pumps") is None
    with pytest.raises(BundleError, match="is not in the store"):
        store.read("pumps", "v1", MANIFEST)


def test_what_is_published_is_read_back(store: Store) -> None:
    """Every file has the bytes that were given, and the extras lie beside them."""
    bundle = tiny("v1")
    store.publish(bundle.manifest, bundle.files, {"report.html": b"<p>"})
    assert (store.models(), store.versions("pumps")) == (["pumps"], ["v1"])
    assert store.read("pumps", "v1", MODEL) == bundle.files[MODEL]
    assert store.read("pumps", "v1", "report.html") == b"<p>"
    assert store.pointer("pumps") is None, "publishing does not put into use"


def test_a_version_is_never_overwritten(store: Store) -> None:
    """The same version again is refused, and the first one stays as it was."""
    first = tiny("v1").publish(store)
    with pytest.raises(BundleError, match="already in the store"):
        tiny("v1", onnx_bytes=b"another").publish(store)
    assert store.read("pumps", "v1", MODEL) == first.files[MODEL]


def test_a_version_without_a_manifest_is_not_there_yet(store: Store) -> None:
    """The manifest comes last, so that a half-written bundle is never listed or promoted."""
    bundle = tiny("v1")
    files = {name: data for name, data in bundle.files.items() if name != MANIFEST}
    for name, data in files.items():
        fs, root = fsspec.core.url_to_fs(store.url)
        fs.makedirs(f"{root}/pumps/v1", exist_ok=True)
        fs.pipe_file(f"{root}/pumps/v1/{name}", data)
    assert store.versions("pumps") == []
    with pytest.raises(BundleError, match="no version v1"):
        store.promote("pumps", "v1")


def test_the_pointer_goes_forward_and_back(store: Store) -> None:
    """Promote remembers where it came from; rollback goes there; a second rollback returns."""
    for version in ("v1", "v2"):
        tiny(version).publish(store)
    assert store.promote("pumps", "v1") == Pointer(model_version="v1")
    assert store.promote("pumps", "v2") == Pointer(model_version="v2", previous="v1")
    assert store.promote("pumps", "v2") == Pointer(model_version="v2", previous="v1"), "promoting again changes nothing"
    assert store.rollback("pumps") == Pointer(model_version="v1", previous="v2") == store.pointer("pumps")
    assert store.rollback("pumps").model_version == "v2"


def test_a_rollback_without_a_past_is_refused(store: Store) -> None:
    """There is nothing to go back to before the second promotion."""
    tiny("v1").publish(store)
    store.promote("pumps", "v1")
    with pytest.raises(BundleError, match="no earlier version"):
        store.rollback("pumps")
    assert store.pointer("pumps") == Pointer(model_version="v1")


def test_a_pointer_that_cannot_be_read_is_named_and_mended_by_promoting(tmp_path: Path) -> None:
    """The remedy in the message works."""
    store = Store(str(tmp_path))
    tiny("v1").publish(store)
    (tmp_path / "pumps" / CURRENT).write_bytes(b"v1\n")
    with pytest.raises(BundleError, match="watchkeeper models promote pumps"):
        store.pointer("pumps")
    store.promote("pumps", "v1")
    assert store.pointer("pumps") == Pointer(model_version="v1")


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "x" * 64, "a\nb", "pumps\n", "a\0b"])
def test_a_name_cannot_leave_the_store(store: Store, name: str) -> None:
    """Models, versions and files are plain names, whatever a message says."""
    for attempt in (
        lambda: store.read(name, "v1", MODEL),
        lambda: store.read("pumps", name, MODEL),
        lambda: store.read("pumps", "v1", name),
        lambda: store.versions(name),
        lambda: store.promote("pumps", name),
    ):
        with pytest.raises(BundleError):
            attempt()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of publishing: one clear line, no half bundle, no temporary folder."""
    store = Store(str(tmp_path))
    calls = iter(range(100))

    def full(_handle: int) -> None:
        if next(calls) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left on device"):
        tiny("v1").publish(store)
    assert list((tmp_path / "pumps").iterdir()) == []


def test_a_failed_move_of_the_pointer_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version in use is the old one or the new one, never neither."""
    store = Store(str(tmp_path))
    for version in ("v1", "v2"):
        tiny(version).publish(store)
    store.promote("pumps", "v1")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="version in use is as it was"):
        store.promote("pumps", "v2")
    assert store.pointer("pumps") == Pointer(model_version="v1")
    assert sorted(path.name for path in (tmp_path / "pumps").iterdir()) == [CURRENT, "v1", "v2"]


def test_of_two_publishers_of_one_version_one_wins(tmp_path: Path) -> None:
    """Two workers with one version: the bundle is wholly one of theirs, and the other is told."""
    store = Store(str(tmp_path))
    bundles = [tiny("v1", onnx_bytes=bytes([n]) * 200_000) for n in range(4)]
    refused: list[BundleError] = []

    def publish(number: int) -> None:
        try:
            bundles[number].publish(store)
        except BundleError as error:
            refused.append(error)

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    winner = store.read("pumps", "v1", MODEL)[0]
    assert store.read("pumps", "v1", MODEL) == bundles[winner].files[MODEL]
    assert store.read("pumps", "v1", MANIFEST).strip() == bundles[winner].manifest.model_dump_json(indent=1).encode()
    assert [path.name for path in (tmp_path / "pumps").iterdir()] == ["v1"]


def test_a_reader_never_sees_a_half_written_pointer(tmp_path: Path) -> None:
    """While the pointer moves to and fro, every reading is one of the two versions."""
    store = Store(str(tmp_path))
    for version in ("v1", "v2"):
        tiny(version).publish(store)
    store.promote("pumps", "v1")
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            store.promote("pumps", "v2")
            store.promote("pumps", "v1")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        seen = {pointer.model_version for _ in range(300) if (pointer := store.pointer("pumps"))}
    finally:
        stop.set()
        mover.join()
    assert seen <= {"v1", "v2"}


def test_what_is_no_bundle_is_left_out(tmp_path: Path) -> None:
    """Stray files and folders in a store on disk do not disturb its listing."""
    store = Store(str(tmp_path))
    tiny("v1").publish(store)
    (tmp_path / "README.txt").write_text("ours")
    (tmp_path / "pumps" / "notes").mkdir()
    (tmp_path / "pumps" / ".publish-abc").mkdir()
    (tmp_path / "lost+found").mkdir()
    assert (store.models(), store.versions("pumps")) == (["pumps"], ["v1"])


@pytest.mark.parametrize(("url", "says"), [("nosuchscheme://x", "nosuchscheme"), ("abfs://container/x", "library")])
def test_a_store_that_cannot_be_reached_is_the_configurations_fault(url: str, says: str) -> None:
    """An unknown scheme or a missing driver is one line that names the store."""
    with pytest.raises(ConfigError, match=says):
        Store(url)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """A folder where a file should be: the line names file and version."""
    store = Store(str(tmp_path))
    tiny("v1").publish(store)
    (tmp_path / "pumps" / "v1" / GOLDEN).unlink()
    (tmp_path / "pumps" / "v1" / GOLDEN).mkdir()
    with pytest.raises(BundleError, match=r"golden\.json of pumps v1 cannot be read"):
        store.read("pumps", "v1", GOLDEN)
