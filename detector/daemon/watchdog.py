"""Ends a daemon whose loop no longer moves, whatever it hangs in, with every thread's stack in the log.

The loop marks progress: a tick, a try after a fault, a piece of state that was read. A thread looks at the mark. A
library that holds Python's lock stops that thread as well, so faulthandler, which needs no lock, is set to some
seconds later and put off as long as the thread runs. systemd's watchdog is fed from here too, and acts when both fail.
"""

import faulthandler
import os
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

import structlog

from detector.daemon.health import Health
from detector.daemon.systemd import Notifier
from detector.errors import BrokerError, StalledError, WatchkeeperError
from schemas.config import Settings

_LOOK_EVERY_S = 0.5
_LATER_S = 30.0  # faulthandler acts so long after the thread should have
_CLOSE_S = 2.0


def patience_s(settings: Settings) -> float:
    """How long the loop may make no progress. A commit waits for deliveries three times, which is no hanging."""
    return max(settings.kafka.max_poll_interval_s, 4 * settings.limits.delivery_timeout_s)


class Watchdog:
    """A thread beside the loop, until closed. stopping: whether a stop was asked for.

    end: ends the process with an exit code, at once.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        notifier: Notifier,
        stopping: Callable[[], bool],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._settings, self._health, self._notifier = settings, health, notifier
        self._stopping, self._end = stopping, end
        self._stop_seen: float | None = None
        self._closed = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(_CLOSE_S)
        faulthandler.cancel_dump_traceback_later()

    def configure(self, settings: Settings) -> None:
        """Takes up the budgets of a reloaded configuration."""
        self._settings = settings

    def reason_to_end(self, now: float) -> WatchkeeperError | None:
        """Why the process should end now; None while all is well. now: a monotonic time, seconds."""
        if self._stop_seen is None and self._stopping():
            self._stop_seen = now
        # One budget for the tick in hand and one for draining; draining itself reports what it could not do in its own.
        grace_s = 2 * self._settings.limits.drain_s + _CLOSE_S
        if self._stop_seen is not None and now - self._stop_seen > grace_s:
            if self._health.interrupted:
                return BrokerError(
                    "stopped while the broker did not confirm deliveries",
                    "nothing is lost: the next start reads again from the last checkpoint",
                )
            return StalledError(f"it did not stop within {grace_s:.0f} s", "the stacks below say where it stood")
        still_s = now - self._health.advanced
        if self._health.started and still_s > patience_s(self._settings):
            return StalledError(
                f"the loop has not moved for {still_s:.0f} s",
                "the stacks below say where it stood; nothing is lost: the next start goes on from the last checkpoint",
            )
        return None

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            faulthandler.dump_traceback_later(patience_s(self._settings) + _LATER_S, exit=True)
            reason = self.reason_to_end(time.monotonic())
            if reason is None:
                self._notifier.alive()
                continue
            structlog.get_logger().error(
                "ended", reason=reason.problem, remedy=reason.remedy, exit_code=reason.exit_code
            )
            faulthandler.dump_traceback(sys.stderr.fileno(), all_threads=True)
            self._end(reason.exit_code)
            return
