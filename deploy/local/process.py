"""The daemon as a process of its own: started, asked over HTTP, measured, signalled, stopped."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from detector.errors import WatchkeeperError

_TICKS = os.sysconf("SC_CLK_TCK")
RUN = ("-m", "detector.cli", "run")


class DaemonEndedError(WatchkeeperError):
    """The daemon ended although nobody asked it to."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a process holds."""

    resident_mib: float
    threads: int
    descriptors: int


def of_checkout(checkout: Path | None) -> dict[str, str]:
    """Environment variables by which Python imports the packages of a source tree before the installed ones."""
    return {} if checkout is None else {"PYTHONPATH": str(checkout)}


class DaemonProcess:
    """`watchkeeper run --config CONFIG`, its log in a file. `port` is the configuration's http.port.

    program: what Python runs instead, with the same --config: the tests' daemon that dies at a given step.
    checkout: the source tree whose code runs; None: the code that this process imports.
    """

    def __init__(
        self,
        config: Path,
        port: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = RUN,
        checkout: Path | None = None,
    ) -> None:
        self.config, self.port, self.log = config, port, log
        self._program = program
        self._environment = dict(os.environ) | dict(environment or {}) | of_checkout(checkout)
        self._directory = checkout
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._running().poll()

    def start(self) -> None:
        """Starts it and returns at once."""
        command = [sys.executable, *self._program, "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._directory,
            )

    def wait_ready(self, within_s: float = 60.0) -> None:
        """Returns when /readyz says so; raises DaemonEndedError when it ended instead."""
        deadline = time.monotonic() + within_s
        while not self._answers("readyz"):
            if self._running().poll() is not None:
                raise DaemonEndedError(f"the daemon ended with {self._running().returncode}", self.last_words())
            if time.monotonic() > deadline:
                raise DaemonEndedError(f"the daemon was not ready within {within_s:.0f} s", self.last_words())
            time.sleep(0.05)

    def metric(self, name: str, **labels: str) -> float:
        """A metric summed over all samples that carry these labels; 0 where there is none yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def processor_s(self) -> float:
        """Processor time of all its threads so far, seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak_mib(self) -> float:
        """Peak resident memory so far, MiB."""
        return self._status("VmHWM") / 1024

    def vitals(self) -> Vitals:
        """What it holds at this moment."""
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208  # names only: some vanish meanwhile
        return Vitals(self._status("VmRSS") / 1024, self._status("Threads"), descriptors)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._running().send_signal(number)

    def wait(self, within_s: float = 30.0) -> int:
        """The exit code, once it ended by itself."""
        return self._running().wait(within_s)

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM; gives the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self) -> None:
        """SIGKILL, where it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")[:400]

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise OSError(f"/proc/{self.pid}/status names no {name}")

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise DaemonEndedError("the daemon was not started", "call start() first")
        return self._process
