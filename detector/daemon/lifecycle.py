"""The life of the daemon: start, run until a signal, drain within a budget, report how it ended.

Signal handlers only set flags. The first SIGTERM or SIGINT drains: the tick in hand is finished, the state is
committed, the group is left. A second one exits at once, and so does the watchdog when that takes longer than it may.
SIGHUP reloads the configuration between ticks. SIGUSR1
writes every thread's stack to the log, and so does SIGABRT before it ends the process.
"""

import faulthandler
import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from detector.daemon.health import Health, HttpServer
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.daemon.reload import reload
from detector.daemon.swaps import load_current
from detector.daemon.systemd import Notifier
from detector.daemon.watchdog import Watchdog
from detector.errors import BrokerError, PartitionsLost, RetriableError
from detector.transports.interface import Transport
from detector.transports.registry import transport_of
from schemas.config import Settings

_STANDARD_ERROR = 2


class Signals:
    """The flags that signals set."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False

    def install(self) -> None:
        """Takes over SIGTERM, SIGINT and SIGHUP; SIGABRT and SIGUSR1 write every thread's stack to the log."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        # These two are handled below Python, so a loop that stands still in a library answers them as well: systemd's
        # watchdog sends SIGABRT, which ends the process after that, a person SIGUSR1, which does not.
        faulthandler.enable(_STANDARD_ERROR)
        faulthandler.register(signal.SIGUSR1, _STANDARD_ERROR)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if self.stop:
            os._exit(128 + number)
        self.stop = True

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True


def make_transport(settings: Settings) -> Transport:
    """The transport that the configuration names."""
    return transport_of(settings).open_transport(settings)


def run_daemon(
    settings: Settings, path: Path | None, *, make: Callable[[Settings], Transport] = make_transport
) -> None:
    """Runs until the input ends or a signal asks to stop. path: what SIGHUP reads again. Raises WatchkeeperError."""
    signals, notifier, metrics, health = Signals(), Notifier(), Metrics(), Health()
    signals.install()
    with Watchdog(settings, health, notifier, lambda: signals.stop) as watchdog:
        scorers = load_current(settings)
        transport = make(settings)
        server = HttpServer(settings.http, health, metrics.registry) if settings.http.enabled else None
        loop = Loop(settings, transport, scorers, metrics, health)
        structlog.get_logger().info(
            "started", pid=os.getpid(), transport=settings.transport, input=settings.topics.input, models=health.models,
            http=f"{settings.http.host}:{server.port}" if server else "off",
        )  # fmt: skip
        notifier.send("READY=1")
        gc.freeze()  # what is there now stays: full collections need not walk it again and again
        health.begin()
        more = True
        try:
            while not signals.stop and (more := loop.tick()):
                if signals.reload:
                    signals.reload = False
                    notifier.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
                    reload(loop, path, metrics)
                    watchdog.configure(loop.settings)
                    notifier.send("READY=1")
        except Exception:
            _leave(loop, transport)
            raise
        else:
            _drain(loop, transport, health, notifier)
            if not more:
                loop.demand_scored()
        finally:
            if server is not None:
                server.close()


def _drain(loop: Loop, transport: Transport, health: Health, notifier: Notifier) -> None:
    """Commits and leaves within one shared budget."""
    begun = time.monotonic()
    health.stopping = True
    notifier.send("STOPPING=1")
    budget = loop.settings.limits.drain_s
    left = _last_commit(loop, budget / 4)
    transport.close(max(budget - (time.monotonic() - begun), 0.5))
    if left is not None and not isinstance(left, PartitionsLost):
        problem = "stopped while the broker did not confirm deliveries"
        raise BrokerError(problem, "nothing is lost: the next start reads again from the last checkpoint")
    took = time.monotonic() - begun
    if took > budget:
        raise BrokerError(f"draining took {took:.1f} s of {budget:.1f} s", "raise limits.drain_s")
    structlog.get_logger().info("stopped", drained_s=round(took, 3))


def _leave(loop: Loop, transport: Transport) -> None:
    """After an error nothing is committed: out of the group, and out of a transaction that readers would wait for."""
    try:
        transport.close(loop.settings.limits.drain_s)
    except Exception as error:  # noqa: BLE001  # the error that ended the daemon is the one to tell
        structlog.get_logger().warning("left without closing", error=type(error).__name__)


def _last_commit(loop: Loop, within_s: float) -> RetriableError | None:
    """Commits, or says what was in the way."""
    if loop.interrupted is not None:
        return loop.interrupted
    try:
        loop.commit(within_s)
    except PartitionsLost as lost:
        structlog.get_logger().warning("not committed", reason=lost.problem, remedy=lost.remedy)
        return lost
    return None
