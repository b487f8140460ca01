"""The model store: `ROOT/MODEL/VERSION/` bundles and a `current` pointer, on a disk or in a bucket (fsspec).

Versions are immutable. On a local disk a bundle is written to a temporary directory, flushed, and renamed; elsewhere
the manifest is written last, so a bundle without one is not there yet. The pointer is replaced in one step.

Where `trust.public_keys` names keys, a version counts only with a signature of one of them
(detector/bundles/signing.py). On a local disk nothing is read that others may write.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from detector import disk
from detector.bundles import signing
from detector.bundles.backend import open_file_system, reaching
from detector.errors import BundleError, ConfigError, StoreError
from schemas.config import Settings, Trust
from schemas.manifest import Manifest, Pointer

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MODEL = "model.onnx"
GOLDEN = "golden.json"
DECODER = "decoder.onnx"
CURRENT = "current"
DECISIONS = "decisions.jsonl"
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")


class Store:
    """A model store. All methods block on the file system; missing things raise BundleError.

    Where the store itself does not answer as it should, StoreError: each backend has exceptions of its own.
    """

    def __init__(self, url: str, trust: Trust | None = None) -> None:
        self.url = url
        self.trust = trust or Trust()
        self._fs, self._root = open_file_system(url)
        self.local = isinstance(self._fs, LocalFileSystem)  # a question to it takes no time

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store that a configuration names, with the keys that it trusts."""
        return cls(settings.store, settings.trust)

    def models(self) -> list[str]:
        """Names of models that have at least one complete version."""
        return [name for name in self._children(self._root) if self.versions(name)]

    def versions(self, model: str) -> list[str]:
        """Complete versions of a model, oldest name first."""
        names = self._children(self._path(model))
        return [name for name in names if self._info(self._path(model, name, MANIFEST)) is not None]

    def pointer(self, model: str) -> Pointer | None:
        """What `current` says; None where nothing was promoted yet."""
        path = self._path(model, CURRENT)
        self._refuse_open(model, CURRENT)
        data = self._data(path)
        if data is None:
            return None
        try:
            return Pointer.model_validate_json(data)
        except ValidationError:
            raise BundleError(
                f"the pointer {path} cannot be read", f"run: watchkeeper models promote {model} VERSION"
            ) from None

    def in_use(self, model: str) -> str:
        """The version that `current` points at. Raises BundleError where there is none."""
        pointer = self.pointer(model)
        if pointer is not None:
            return pointer.model_version
        versions = self.versions(model)
        problem = f"no version of {model} is in use in the store {self.url}"
        if versions:
            raise BundleError(problem, f"run: watchkeeper models promote {model} {versions[-1]}")
        raise BundleError(problem, f"run: watchkeeper train --model {model}, or correct 'store'")

    def read(self, model: str, version: str, name: str) -> bytes:
        """A file of a bundle."""
        self._refuse_open(model, version, name)
        data = self._data(self._path(model, version, name), f"{name} of {model} {version}")
        if data is None:
            raise BundleError(
                f"{name} of {model} {version} is not in the store {self.url}",
                f"run 'watchkeeper models list' to see what is, or train {model} first",
            )
        return data

    def publish(self, manifest: Manifest, files: Mapping[str, bytes], extras: Mapping[str, bytes]) -> str:
        """Writes a version, signed where a key is configured, and returns its path.

        `extras` (a report) are not covered by the manifest's hashes, so not by its signature either.
        """
        model, version = manifest.model, manifest.model_version
        target = self._path(model, version)
        if self._info(target) is not None:
            raise BundleError(f"{model} {version} is already in the store", "versions are immutable: publish a new one")
        written = (manifest.model_dump_json(indent=1) + "\n").encode()
        body = {**extras, **files, **self._signature(written), MANIFEST: written}
        problem = f"{model} {version} cannot be written to the store {self.url}"
        with reaching(problem, "check its space and rights; nothing was published"):
            self._write(target, body)
        return target

    def promote(self, model: str, version: str) -> Pointer:
        """Points `current` at a version that is there, and signed where that is asked for."""
        if version not in self.versions(model):
            raise BundleError(
                f"{model} has no version {version} in the store {self.url}",
                f"run: watchkeeper models list --model {model}",
            )
        self.demand_signature(model, version, self.read(model, version, MANIFEST))
        old = self._pointer_or_none(model)
        if old is not None and old.model_version == version:
            return old
        new = Pointer(model_version=version, previous=old.model_version if old else None)
        problem = f"the pointer of {model} cannot be written in the store {self.url}"
        with reaching(problem, "check its space and rights; the version in use is as it was"):
            self._replace(self._path(model, CURRENT), new.model_dump_json().encode())
        return new

    def signer(self, model: str, version: str, manifest: bytes) -> str | None:
        """The fingerprint of the trusted key that signed these bytes of a manifest; None where none of them did."""
        if not self.signed(model, version):
            return None
        signature = self.read(model, version, SIGNATURE)
        return signing.signer_of(self.trust.public_keys, manifest, signature)

    def signature(self, model: str, version: str) -> str:
        """A version's signature as one word: the trusted key's fingerprint, none, unchecked or untrusted."""
        if not self.signed(model, version):
            return "none"
        if not self.trust.public_keys:
            return "unchecked"
        return self.signer(model, version, self.read(model, version, MANIFEST)) or "untrusted"

    def signed(self, model: str, version: str) -> bool:
        """Whether there is a signature, by whatever key."""
        return self._info(self._path(model, version, SIGNATURE)) is not None

    def demand_signature(self, model: str, version: str, manifest: bytes) -> None:
        """Raises BundleError where keys are trusted and none of them signed these bytes of the manifest."""
        if not self.trust.public_keys or self.signer(model, version, manifest) is not None:
            return
        if self.signed(model, version):
            problem = "its signature was made by none of trust.public_keys, or for another manifest"
        else:
            problem = "it is not signed, and trust.public_keys asks for that"
        raise BundleError(
            f"bundle {model} {version} is refused: {problem}",
            f"if it is the trainer's, sign it where trust.signing_key is: watchkeeper models sign {model} {version}",
        )

    def sign(self, model: str, version: str, manifest_sha256: str) -> None:
        """Signs a version that is there, in place of an older signature. manifest_sha256: of the checked manifest."""
        manifest = self.read(model, version, MANIFEST)
        if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
            raise BundleError(f"the manifest of {model} {version} has changed just now", "see who writes to the store")
        signature = self._signature(manifest)
        if not signature:
            raise ConfigError("trust.signing_key names no key", "name one, or set WATCHKEEPER_TRUST__SIGNING_KEY")
        problem = f"the signature of {model} {version} cannot be written in the store {self.url}"
        with reaching(problem, "check its space and rights"):
            self._replace(self._path(model, version, SIGNATURE), signature[SIGNATURE])

    def check_signing_key(self) -> None:
        """Raises ConfigError where a signing key is named that cannot be used: before a training, not after it."""
        self._signature(b"")

    def _signature(self, manifest: bytes) -> dict[str, bytes]:
        """The signature's file; nothing without a signing key. A key that nobody trusts is refused here."""
        key = self.trust.signing_key
        if key is None:
            return {}
        signature = signing.sign(key, manifest)
        if self.trust.public_keys and signing.signer_of(self.trust.public_keys, manifest, signature) is None:
            raise ConfigError(
                f"trust.signing_key {key} belongs to none of trust.public_keys", "add its public key there"
            )
        return {SIGNATURE: signature}

    def _refuse_open(self, *parts: str) -> None:
        """Store, model, version, file: whoever may write one of these may put another bundle in its place."""
        if self.local:
            for depth in range(len(parts) + 1):
                disk.refuse_open_to_others(Path(self._path(*parts[:depth])), BundleError)

    def _pointer_or_none(self, model: str) -> Pointer | None:
        """A pointer that cannot be read is replaced like one that is not there: promoting is its remedy."""
        try:
            return self.pointer(model)
        except StoreError:
            raise  # the next question may find it: the version before it must not be lost
        except BundleError:
            return None

    def write_down(self, model: str, line: bytes) -> None:
        """Appends a line to the model's decisions; one worker writes at a time."""
        self.write_beside(model, DECISIONS, self.read_beside(model, DECISIONS) + line + b"\n")

    def read_beside(self, model: str, name: str) -> bytes:
        """A file that lies beside the model's versions; empty where there is none."""
        return self._data(self._path(model, name)) or b""

    def write_beside(self, model: str, name: str, data: bytes) -> None:
        """Replaces a file that lies beside the model's versions, in one step."""
        path = self._path(model, name)
        with reaching(f"{path} cannot be written in the store {self.url}", "check its space and rights"):
            self._replace(path, data)

    def remove(self, model: str, version: str) -> None:
        """Removes a version for good, its manifest first: what is half removed is not there. Refuses the one in use."""
        pointer = self.pointer(model)
        if pointer is not None and pointer.model_version == version:
            raise BundleError(f"{model} {version} is in use", "promote another version first")
        problem = f"{model} {version} cannot be removed from the store {self.url}"
        with reaching(problem, "check the rights; what is left of it is no version any more"):
            self._fs.rm_file(self._path(model, version, MANIFEST))
            self._fs.rm(self._path(model, version), recursive=True)

    def rollback(self, model: str) -> Pointer:
        """Points `current` back at the version before it."""
        old = self.pointer(model)
        if old is None or old.previous is None:
            problem = f"{model} has no earlier version to go back to"
            raise BundleError(problem, f"run: watchkeeper models list --model {model}")
        return self.promote(model, old.previous)

    def _children(self, path: str) -> list[str]:
        with self._asking():
            try:
                self._fs.invalidate_cache()  # others write to the store too
                entries = self._fs.ls(path, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = [str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries]
        return sorted(name for name in names if _NAME.fullmatch(name) and name != CURRENT)

    def _info(self, path: str) -> Mapping[str, Any] | None:
        """What there is; None where there is nothing. fsspec's own `exists` takes every fault for a no."""
        with self._asking():
            try:
                return dict(self._fs.info(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _data(self, path: str, what: str = "") -> bytes | None:
        """A file's bytes; None where there is none."""
        with self._asking(what or path):
            try:
                return bytes(self._fs.cat_file(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _asking(self, what: str = "") -> AbstractContextManager[None]:
        subject = f"{what} cannot be read from the store {self.url}" if what else f"the store {self.url} cannot be read"
        return reaching(subject, "check that it is there, its credentials and the rights; it may be asked again later")

    def _path(self, *parts: str) -> str:
        for part in parts:
            if not _NAME.fullmatch(part):
                problem = f"{part[:80]!r} is not a name for a model or version"
                raise BundleError(problem, "use letters, digits, '.', '_', '-'")
        return "/".join([self._root.rstrip("/"), *parts])

    def _write(self, target: str, body: Mapping[str, bytes]) -> None:
        if self.local:
            disk.publish(Path(target), body)
            return
        for name, data in body.items():  # the manifest comes last
            self._fs.pipe_file(f"{target}/{name}", data)

    def _replace(self, path: str, data: bytes) -> None:
        if self.local:
            disk.replace(Path(path), data)
        else:
            self._fs.pipe_file(path, data)
