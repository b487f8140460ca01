"""The daemon with a failpoint: at a given call of its transport it is killed, stopped, told that the broker failed, or
its call is lost.

    python -m tests.reliability.faults.failpoints --config FILE --at commit --side before --occasion 2 --action kill

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
class Failpoint:
    """at: a method of Transport, or send:STREAM; occasion: from 1; action: kill, stop, raise, lose."""

    at: str
    side: str = "before"
    occasion: int = 1
    action: str = "kill"

    @property
    def program(self) -> tuple[str, ...]:
        """What DaemonProcess runs in the place of the daemon's own command."""
        return (
            *PROGRAM, "--at", self.at, "--side", self.side, "--occasion", str(self.occasion), "--action", self.action,
        )  # fmt: skip


class FailingTransport:
    """A transport that passes every call on, and counts those at which the failpoint stands."""

    def __init__(self, inner: Transport, failpoint: Failpoint) -> None:
        self._inner, self._failpoint, self._count = inner, failpoint, 0
        self._method, _, self._stream = failpoint.at.partition(":")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, found) if name == self._method else found

    def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        sent = arguments[0] if arguments else None
        if self._stream and isinstance(sent, Message) and sent.stream.value != self._stream:
            return method(*arguments, **named)
        self._count += 1
        strikes = self._count == self._failpoint.occasion
        if strikes and self._failpoint.action == "lose":
            return None
        if strikes and self._failpoint.side == "before":
            self._strike()
        answer = method(*arguments, **named)
        if strikes and self._failpoint.side == "after":
            self._strike()
        return answer

    def _strike(self) -> None:
        if self._failpoint.action == "raise":
            raise BrokerError("the failpoint of the fault matrix struck", "none is needed")
        os.kill(os.getpid(), signal.SIGKILL if self._failpoint.action == "kill" else signal.SIGSTOP)


def main() -> None:
    """Runs the daemon with the failpoint that the arguments describe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--at", required=True)
    parser.add_argument("--side", choices=("before", "after"), required=True)
    parser.add_argument("--occasion", type=int, required=True)
    parser.add_argument("--action", choices=("kill", "stop", "raise", "lose"), required=True)
    given = parser.parse_args()
    failpoint = Failpoint(given.at, given.side, given.occasion, given.action)
    settings = load_settings(given.config)
    configure_logs(settings.logging)

    def make(wanted: Settings) -> Transport:
        return cast("Transport", FailingTransport(make_transport(wanted), failpoint))

    try:
        run_daemon(settings, given.config, make=make)
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
