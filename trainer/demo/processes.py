"""Running the real `watchkeeper` as processes; their output goes to log files, their end is always awaited."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from detector.config import PREFIX
from detector.errors import WatchkeeperError

STOP_S = 15.0
EXECUTABLE = Path(sys.executable).with_name("watchkeeper")


class CommandError(WatchkeeperError):
    """A command of the demo ended with an error."""


class CommandProcess:
    """One running command. Leaving the `with` block stops it."""

    def __init__(self, arguments: Sequence[str], logs: Path, name: str | None = None) -> None:
        self.name = name or arguments[0]
        self.log = logs / f"{self.name}.log"
        self._read_bytes = 0
        self._file = self.log.open("wb")
        self._process = subprocess.Popen(
            [str(EXECUTABLE), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=self._file,
            # Its configuration is the demo's own file: nothing of the shell's overrides it.
            env={key: value for key, value in os.environ.items() if not key.startswith(PREFIX)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; it cannot change while `running` stays true."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def new_lines(self) -> list[str]:
        """Whole lines written since the last call."""
        with self.log.open("rb") as file:
            file.seek(self._read_bytes)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_bytes += len(whole) + len(newline)
        return whole.decode("utf-8", "replace").splitlines()

    def check(self) -> None:
        """Raises CommandError when it has ended with an error."""
        code = self._process.poll()
        if code not in (None, 0, -signal.SIGTERM):
            printed = [line.strip(" │") for line in self.output.splitlines() if any(map(str.isalnum, line))]
            last = printed[-1][:300] if printed else "it wrote nothing"
            raise CommandError(f"watchkeeper {self.name} ended with code {code}: {last}", f"see {self.log}")

    def stop(self) -> None:
        """Asks it to end (SIGTERM: the daemon drains) and waits; kills it where it does not listen."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._file.close()
