"""The worker: waits for retrain requests on the control topic (or file) and answers each once."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from functools import partial

import structlog

from detector.bundles.store import Store
from detector.daemon.health import HttpServer
from detector.errors import BundleError, WatchkeeperError
from detector.transports.control import parse_control, send_control
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.control import Control, RetrainRequest, Trigger
from trainer.retraining.announcements import announce_again
from trainer.retraining.attempts import MAX_ATTEMPTS, Attempts
from trainer.retraining.health import WorkerHealth, WorkerMetrics
from trainer.retraining.retrain import Decision, answer, rejected, write_down
from trainer.retraining.schedule import Schedule, newest_version

Answering = Callable[[Settings, RetrainRequest], Decision]


def run_worker(settings: Settings) -> None:
    """Answers requests until interrupted. Blocks. Raises BrokerError when the broker stays away."""
    health = WorkerHealth(WorkerMetrics(settings))
    worker = RetrainWorker(settings, health=health)
    http = settings.worker.http
    with closing(HttpServer(http, health, health.metrics.registry, "worker.http")) if http.enabled else nullcontext():
        structlog.get_logger().info("worker started", pid=os.getpid(), control=settings.topics.control)
        announce_again(settings)
        for message in control_messages(settings, worker.idle):
            if isinstance(message, RetrainRequest):
                worker.handle(message)


def control_messages(settings: Settings, idle: Callable[[], None]) -> Iterator[Control]:
    """Control messages as they come, for ever; `idle` is called about twice a second between them.

    One worker gets each message (see package.TransportPackage.consume_control).
    """
    for record in transport_of(settings).consume_control(settings, idle):
        message = parse_control(record.value)
        if isinstance(message, str):
            structlog.get_logger().warning("control message refused", origin=record.origin, reason=message)
        else:
            yield message


class RetrainWorker:
    """Decides which requests to answer, and answers them."""

    def __init__(
        self, settings: Settings, answering: Answering | None = None, health: WorkerHealth | None = None
    ) -> None:
        self._settings = settings
        self._health = health or WorkerHealth(WorkerMetrics(settings))
        self._store = Store.of(settings)
        self._store.check_signing_key()
        self._attempts = Attempts(self._store)
        self._answer = answering or partial(answer, on_progress=self._health.on_progress)
        self._log = structlog.get_logger()
        self._answered: dict[tuple[str, str | None], datetime] = {}
        self._schedule = self._read_schedule()

    def handle(self, request: RetrainRequest) -> Decision | None:
        """Answers one request; None where it is passed over. Raises BrokerError where the answer cannot be sent.

        What cannot be answered with a model is answered with a rejection, so that it does not come again.
        """
        try:
            reason = self._reason_to_pass_over(request)
        except WatchkeeperError as error:
            return self._finish(request, rejected(request, None, str(error)), time.monotonic())
        if reason is not None:
            self._log.info("request passed over", request=request.id, model=request.model, reason=reason)
            self._health.metrics.passed_over.inc()
            return None
        begun = time.monotonic()
        return self._finish(request, self._decide(request), begun)

    def _decide(self, request: RetrainRequest) -> Decision:
        """The decision on a request that is due; the attempt is counted where it outlives this process."""
        made = self._attempted(request)
        if made >= MAX_ATTEMPTS:
            problem = f"{made} workers ended while they trained for it (killed, or out of memory)"
            remedy = "see their logs, lower training.<model>.max_windows or worker.history_s, and ask again"
            return rejected(request, None, f"{problem}: {remedy}")
        self._log.info("training", request=request.id, model=request.model, trigger=request.trigger.value,
                       reason=request.reason)  # fmt: skip
        self._health.begin()
        self._count(self._attempts.begin, request)
        try:
            return self._answer(self._settings, request)
        except KeyboardInterrupt:
            self._count(self._attempts.withdraw, request)
            raise

    def _finish(self, request: RetrainRequest, decision: Decision, begun: float) -> Decision:
        """Writes the decision down and sends it. Raises BrokerError where it cannot be sent."""
        self._answered[request.model, request.model_version] = request.at
        try:
            write_down(self._settings, request, decision)
        except (WatchkeeperError, OSError) as error:  # a full disk is no reason to leave the request open
            self._log.error("decision not written down", request=request.id, reason=str(error))
        send_control(self._settings, decision.message)
        self._count(self._attempts.end, request)
        self._health.end(request.model, decision.message.model_version, decision.message.type)
        self._log.info(
            decision.message.type.replace("_", " "), request=request.id, model=request.model,
            version=decision.message.model_version, reason=decision.reason, took_s=round(time.monotonic() - begun, 1),
        )  # fmt: skip
        return decision

    def _attempted(self, request: RetrainRequest) -> int:
        try:
            return self._attempts.made(request.model, request.id)
        except (WatchkeeperError, OSError):
            return 0

    def _count(self, change: Callable[[str, str], None], request: RetrainRequest) -> None:
        """A store that takes no count is for the training to find out."""
        try:
            change(request.model, request.id)
        except (WatchkeeperError, OSError) as error:
            self._log.warning("attempt not counted", request=request.id, reason=str(error))

    def idle(self) -> None:
        """Asks for the retrainings that are due, through the same message as everybody."""
        self._health.idle()
        if self._schedule is None:
            return
        now = datetime.now(UTC)
        for model in self._schedule.due(now):
            self._ask(model, now)

    def _ask(self, model: str, now: datetime) -> None:
        every_s = self._settings.worker.schedule_s
        request = RetrainRequest(
            id=f"{Trigger.SCHEDULE}-{model}-{int(now.timestamp())}",
            model=model, model_version=None, trigger=Trigger.SCHEDULE, at=now, reason=f"every {every_s:g} s",
        )  # fmt: skip
        try:
            send_control(self._settings, request)
        except WatchkeeperError as error:
            self._log.error("schedule not sent", model=model, reason=error.problem)

    def _read_schedule(self) -> Schedule | None:
        if self._settings.worker.schedule_s is None:
            return None
        models = dict.fromkeys(rule.model for rule in self._settings.watch)
        return Schedule(models, self._settings.worker.schedule_s, self._newest)

    def _newest(self, model: str) -> datetime | None:
        try:
            return newest_version(self._store, model)
        except BundleError as error:  # another version can be trained, whatever is wrong with this one
            self._log.warning("newest version not read", model=model, reason=error.problem)
            return None

    def _reason_to_pass_over(self, request: RetrainRequest) -> str | None:
        if request.model not in {rule.model for rule in self._settings.watch}:
            return "no watch rule names the model"
        pointer = self._store.pointer(request.model)
        current = pointer.model_version if pointer else None
        if request.model_version is not None and request.model_version != current:
            return f"it complains of {request.model_version}, and {current} is in use"
        if request.trigger is Trigger.SCHEDULE and self._trained_since(request):
            return "a version was made since it was asked for"
        before = self._answered.get((request.model, request.model_version))
        if request.trigger is Trigger.DRIFT and before is not None:
            since = (request.at - before).total_seconds()
            if since < self._settings.drift.cooldown_s:
                return f"the same version was answered for {since:.0f} s of feed time ago"
        return None

    def _trained_since(self, request: RetrainRequest) -> bool:
        """Several workers may have asked, or one that was restarted while its request waited."""
        newest = self._newest(request.model)
        return newest is not None and newest >= request.at
