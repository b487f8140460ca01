"""Files on a local disk: written whole or not at all, and trusted only where nobody else could have written them."""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from detector.errors import ConfigError, WatchkeeperError

SHARED = 0o644  # what the trainer writes and the daemon, under another name, reads


def refuse_open_to_others(path: Path, fault: type[WatchkeeperError]) -> None:
    """Raises `fault` where somebody beside the owner may write the file or folder. What is not there passes.

    A group that this process belongs to may write: trainer and daemon share a store through one, and Kubernetes'
    fsGroup makes every file of a volume so. Links are followed; folders above are the administrator's business.
    """
    try:
        facts = path.stat()
    except OSError:
        return
    mode = f"mode {stat.S_IMODE(facts.st_mode):04o}"
    if facts.st_mode & stat.S_IWOTH:
        raise fault(f"{path} is refused: everybody may write it ({mode})", f"see who did, then run: chmod o-w {path}")
    if facts.st_mode & stat.S_IWGRP and facts.st_gid not in {os.getegid(), *os.getgroups()}:
        raise fault(
            f"{path} is refused: group {facts.st_gid}, which this process is not in, may write it ({mode})",
            f"see who did, then run: chmod g-w {path}",
        )


def replace(path: Path, data: bytes, mode: int = SHARED) -> None:
    """Writes a file beside the old one and puts it in its place in one step. Raises OSError; nothing is left then."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, data)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def publish(target: Path, body: Mapping[str, bytes]) -> None:
    """Writes a folder of files that appears whole, or not at all. Raises OSError."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".publish-"))
    try:
        temporary.chmod(0o755)
        for name, data in body.items():
            # A process without a umask must not write what it would refuse to read.
            with os.fdopen(os.open(temporary / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SHARED), "wb") as file:
                _write(file, data)
        _sync_directory(temporary)
        temporary.rename(target)
        _sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_out(folder: Path) -> None:
    """Makes the folder that a command's --out names, where it is missing. Raises ConfigError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"--out {folder} cannot be made ({error.strerror or type(error).__name__})"
        raise ConfigError(problem, "name a folder that is there, or one that you may make") from None
