"""The model store: `ROOT/MODEL/VERSION/` bundles and a `current` pointer, on a disk or in a bucket (fsspec).

Versions are immutable. On a local disk a bundle is written to a temporary directory, flushed, and renamed; elsewhere
the manifest is written last, so a bundle without one is not there yet. The pointer is replaced in one step.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from detector.errors import BundleError, ConfigError
from schemas.manifest import Manifest, Pointer

MANIFEST = "manifest.json"
MODEL = "model.onnx"
GOLDEN = "golden.json"
CURRENT = "current"
DECISIONS = "decisions.jsonl"
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")


class Store:
    """A model store. All methods block on the file system; missing things raise BundleError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = _open(url)
        self._local = isinstance(self._fs, LocalFileSystem)

    def models(self) -> list[str]:
        """Names of models that have at least one complete version."""
        return [name for name in self._children(self._root) if self.versions(name)]

    def versions(self, model: str) -> list[str]:
        """Complete versions of a model, oldest name first."""
        names = self._children(self._path(model))
        return [name for name in names if self._fs.exists(self._path(model, name, MANIFEST))]

    def pointer(self, model: str) -> Pointer | None:
        """What `current` says; None where nothing was promoted yet."""
        path = self._path(model, CURRENT)
        if not self._fs.exists(path):
            return None
        try:
            return Pointer.model_validate_json(self._fs.cat_file(path))
        except ValidationError:
            raise BundleError(
                f"the pointer {path} cannot be read", f"run: watchkeeper models promote {model} VERSION"
            ) from None

    def read(self, model: str, version: str, name: str) -> bytes:
        """A file of a bundle."""
        try:
            return bytes(self._fs.cat_file(self._path(model, version, name)))
        except FileNotFoundError:
            raise BundleError(
                f"{name} of {model} {version} is not in the store {self.url}",
                f"run 'watchkeeper models list' to see what is, or train {model} first",
            ) from None
        except OSError as error:
            raise BundleError(
                f"{name} of {model} {version} cannot be read from the store {self.url} ({type(error).__name__})",
                "check the rights of the store's files",
            ) from None

    def publish(self, manifest: Manifest, files: Mapping[str, bytes], extras: Mapping[str, bytes]) -> str:
        """Writes a version and returns its path. `extras` (a report) are not covered by the manifest's hashes."""
        model, version = manifest.model, manifest.model_version
        target = self._path(model, version)
        if self._fs.exists(target):
            raise BundleError(f"{model} {version} is already in the store", "versions are immutable: publish a new one")
        body = {**extras, **files, MANIFEST: (manifest.model_dump_json(indent=1) + "\n").encode()}
        try:
            self._write(target, body)
        except OSError as error:
            raise BundleError(
                f"{model} {version} cannot be written to the store {self.url} ({_reason(error)})",
                "check its space and rights; nothing was published",
            ) from None
        return target

    def promote(self, model: str, version: str) -> Pointer:
        """Points `current` at a version that is there."""
        if version not in self.versions(model):
            raise BundleError(
                f"{model} has no version {version} in the store {self.url}",
                f"run: watchkeeper models list --model {model}",
            )
        old = self._pointer_or_none(model)
        if old is not None and old.model_version == version:
            return old
        new = Pointer(model_version=version, previous=old.model_version if old else None)
        try:
            self._replace(self._path(model, CURRENT), new.model_dump_json().encode())
        except OSError as error:
            raise BundleError(
                f"the pointer of {model} cannot be written in the store {self.url} ({_reason(error)})",
                "check its space and rights; the version in use is as it was",
            ) from None
        return new

    def _pointer_or_none(self, model: str) -> Pointer | None:
        """A pointer that cannot be read is replaced like one that is not there: promoting is its remedy."""
        try:
            return self.pointer(model)
        except BundleError:
            return None

    def write_down(self, model: str, line: bytes) -> None:
        """Appends a line to the model's decisions; one worker writes at a time."""
        path = self._path(model, DECISIONS)
        before = bytes(self._fs.cat_file(path)) if self._fs.exists(path) else b""
        self._replace(path, before + line + b"\n")

    def rollback(self, model: str) -> Pointer:
        """Points `current` back at the version before it."""
        old = self.pointer(model)
        if old is None or old.previous is None:
            problem = f"{model} has no earlier version to go back to"
            raise BundleError(problem, f"run: watchkeeper models list --model {model}")
        return self.promote(model, old.previous)

    def _children(self, path: str) -> list[str]:
        if not self._fs.isdir(path):
            return []
        names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(path, detail=False)]
        return sorted(name for name in names if _NAME.fullmatch(name) and name != CURRENT)

    def _path(self, *parts: str) -> str:
        for part in parts:
            if not _NAME.fullmatch(part):
                problem = f"{part[:80]!r} is no name for a model or version"
                raise BundleError(problem, "use letters, digits, '.', '_', '-'")
        return "/".join([self._root.rstrip("/"), *parts])

    def _write(self, target: str, body: Mapping[str, bytes]) -> None:
        if self._local:
            _publish_local(Path(target), body)
            return
        for name, data in body.items():  # the manifest comes last
            self._fs.pipe_file(f"{target}/{name}", data)

    def _replace(self, path: str, data: bytes) -> None:
        if self._local:
            _replace_local(Path(path), data)
        else:
            self._fs.pipe_file(path, data)


def _open(url: str) -> tuple[Any, str]:
    """The file system behind a URL, and the path in it."""
    try:
        file_system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"the store {url} needs a library that is not here", str(error)[:160]) from None
    except ValueError as error:
        raise ConfigError(f"the store {url} is no folder or URL ({str(error)[:80]})", "correct 'store'") from None
    return file_system, str(root)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _replace_local(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".current-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _publish_local(target: Path, body: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".publish-"))
    try:
        temporary.chmod(0o755)
        for name, data in body.items():
            with (temporary / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync_directory(temporary)
        temporary.rename(target)
        _sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
