"""The daemon with a trap in it: at a given call of its transport it is killed, stopped, told that the broker failed,
or its call is lost.

    python -m tests.reliability.faults.failpoints --config FILE --at commit --side before --occasion 2 --deed kill

Production code knows nothing of this: `run_daemon` takes the maker of its transport as an argument.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from detector.config import load_settings
from detector.daemon.lifecycle import make_transport, run_daemon
from detector.daemon.logs import configure_logs
from detector.errors import BrokerError, WatchkeeperError
from detector.transports.interface import Message, Transport
from schemas.config import Settings

PROGRAM = ("-m", "tests.reliability.faults.failpoints")


@dataclass(frozen=True, slots=True)
class Trap:
    """Where it snaps. at: a method of Transport, or send:STREAM; occasion: from 1; deed: kill, stop, raise, lose."""

    at: str
    side: str = "before"
    occasion: int = 1
    deed: str = "kill"

    @property
    def program(self) -> tuple[str, ...]:
        """What DaemonProcess runs in the place of the daemon's own command."""
        return (
            *PROGRAM, "--at", self.at, "--side", self.side, "--occasion", str(self.occasion), "--deed", self.deed,
        )  # fmt: skip


class Trapped:
    """A transport that passes every call on, and counts those at which the trap stands."""

    def __init__(self, inner: Transport, trap: Trap) -> None:
        self._inner, self._trap, self._count = inner, trap, 0
        self._method, _, self._stream = trap.at.partition(":")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, found) if name == self._method else found

    def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        sent = arguments[0] if arguments else None
        if self._stream and isinstance(sent, Message) and sent.stream.value != self._stream:
            return method(*arguments, **named)
        self._count += 1
        snaps = self._count == self._trap.occasion
        if snaps and self._trap.deed == "lose":
            return None
        if snaps and self._trap.side == "before":
            self._snap()
        answer = method(*arguments, **named)
        if snaps and self._trap.side == "after":
            self._snap()
        return answer

    def _snap(self) -> None:
        if self._trap.deed == "raise":
            raise BrokerError("the trap of the fault matrix snapped", "none is needed")
        os.kill(os.getpid(), signal.SIGKILL if self._trap.deed == "kill" else signal.SIGSTOP)


def main() -> None:
    """Runs the daemon with the trap that the arguments describe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--at", required=True)
    parser.add_argument("--side", choices=("before", "after"), required=True)
    parser.add_argument("--occasion", type=int, required=True)
    parser.add_argument("--deed", choices=("kill", "stop", "raise", "lose"), required=True)
    given = parser.parse_args()
    trap = Trap(given.at, given.side, given.occasion, given.deed)
    settings = load_settings(given.config)
    configure_logs(settings.logging)

    def make(wanted: Settings) -> Transport:
        return cast("Transport", Trapped(make_transport(wanted), trap))

    try:
        run_daemon(settings, given.config, make=make)
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
