"""One daemon a state file: two would read the same lines, and each would write over the other's state."""

import fcntl
import os
from typing import IO

from detector.errors import ConfigError
from schemas.config import Settings


class StateLock:
    """Held until released or until the process ends, however it ends: the operating system drops it."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError where another process holds it."""
        path = settings.files.directory / f".{settings.topics.state}.lock"
        try:
            self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", 0)
        except OSError as error:
            problem = f"{path} cannot be opened ({type(error).__name__})"
            raise ConfigError(problem, "check files.directory and its rights") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._file.read(20).decode(errors="replace").strip() or "unknown"
            self._file.close()
            raise ConfigError(
                f"another watchkeeper (process {holder}) uses the state file of {settings.files.directory}",
                "stop it, or give this one a files.directory, or topics.state and outputs, of its own",
            ) from None
        self._file.truncate(0)
        self._file.write(b"%d\n" % os.getpid())

    def release(self) -> None:
        """Lets the next one in. The file stays: whoever took it away would take a lock that somebody waits for."""
        self._file.close()
