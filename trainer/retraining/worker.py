"""The worker: waits for retrain requests on the control topic (or file) and answers each once."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaError, KafkaTimeoutError

from detector.bundles.store import Store
from detector.errors import BrokerError, BundleError, WatchkeeperError
from detector.transports.control import parse_control, send_control
from detector.transports.interface import ControlRecord
from detector.transports.kafka.admin import absent
from detector.transports.kafka.connection import client_options
from detector.transports.kafka.diagnosis import missing_acl, unreachable
from detector.transports.reader import read_topic
from schemas.config import Settings
from schemas.control import Control, RetrainRequest, Trigger
from trainer.parallel.progress import Silent
from trainer.retraining.retrain import Decision, answer, write_down

_POLL_MS = 500
_LONGEST_TRAINING_MS = 6 * 3_600_000  # until then the group believes that this worker is alive
Answering = Callable[[Settings, RetrainRequest], Decision]


def run_worker(settings: Settings) -> None:
    """Answers requests until interrupted. Blocks. Raises BrokerError when the broker stays away."""
    worker = Worker(settings)
    for message in control_messages(settings, worker.idle):
        if isinstance(message, RetrainRequest):
            worker.handle(message)


def control_messages(settings: Settings, idle: Callable[[], None]) -> Iterator[Control]:
    """Control messages as they come, for ever; `idle` is called about twice a second between them.

    Over Kafka one worker of the group gets each message, and it is committed when the next one is asked for. A file
    is read from its beginning; requests that it shows to be answered already are passed over.
    """
    messages = _from_topic(settings, idle) if settings.transport == "kafka" else _from_file(settings, idle)
    for record in messages:
        message = parse_control(record.value)
        if isinstance(message, str):
            structlog.get_logger().warning("control message refused", origin=record.origin, reason=message)
        else:
            yield message


class Worker:
    """Decides which requests to answer, and answers them."""

    def __init__(self, settings: Settings, answering: Answering | None = None) -> None:
        self._settings = settings
        self._store = Store.of(settings)
        self._store.check_signing_key()
        self._answer = answering or (lambda settings, request: answer(settings, request, Silent()))
        self._log = structlog.get_logger()
        self._answered: dict[tuple[str, str | None], datetime] = {}
        self._schedule_at = time.monotonic()

    def handle(self, request: RetrainRequest) -> Decision | None:
        """Answers one request; None where it is passed over. A fault of broker or store ends the request, not us."""
        why_not = self._stale(request)
        if why_not is not None:
            self._log.info("request passed over", request=request.id, model=request.model, reason=why_not)
            return None
        self._log.info("training", request=request.id, model=request.model, trigger=request.trigger.value,
                       reason=request.reason)  # fmt: skip
        begun = time.monotonic()
        try:
            decision = self._answer(self._settings, request)
        except (BundleError, BrokerError) as error:
            self._log.error("request failed", request=request.id, reason=error.problem, remedy=error.remedy)
            return None
        self._answered[request.model, request.model_version] = request.at
        write_down(self._settings, request, decision)
        send_control(self._settings, decision.message)
        self._log.info(
            decision.message.type.replace("_", " "), request=request.id, model=request.model,
            version=decision.message.model_version, reason=decision.reason, took_s=round(time.monotonic() - begun, 1),
        )  # fmt: skip
        return decision

    def idle(self) -> None:
        """Asks for a retraining when the schedule says so, through the same message as everybody."""
        every = self._settings.worker.schedule_s
        if every is None or time.monotonic() < self._schedule_at + every:
            return
        self._schedule_at = time.monotonic()
        now = datetime.now(UTC)
        for model in dict.fromkeys(rule.model for rule in self._settings.watch):
            request = RetrainRequest(
                id=f"{Trigger.SCHEDULE}-{model}-{int(now.timestamp() // every)}",
                model=model, model_version=None, trigger=Trigger.SCHEDULE, at=now, reason=f"every {every:g} s",
            )  # fmt: skip
            try:
                send_control(self._settings, request)
            except WatchkeeperError as error:
                self._log.error("schedule not sent", model=model, reason=error.problem)

    def _stale(self, request: RetrainRequest) -> str | None:
        if request.model not in {rule.model for rule in self._settings.watch}:
            return "no watch rule names the model"
        pointer = self._store.pointer(request.model)
        current = pointer.model_version if pointer else None
        if request.model_version is not None and request.model_version != current:
            return f"it complains of {request.model_version}, and {current} is in use"
        before = self._answered.get((request.model, request.model_version))
        if request.trigger is Trigger.DRIFT and before is not None:
            since = (request.at - before).total_seconds()
            if since < self._settings.drift.cooldown_s:
                return f"the same version was answered for {since:.0f} s of feed time ago"
        return None


def _from_file(settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
    path = settings.files.directory / f"{settings.topics.control}.jsonl"
    old = list(read_topic(settings, settings.topics.control, follow=False)) if path.exists() else []
    answered = {getattr(message, "answers", None) for message in map(parse_control, old)}
    for value in old:
        message = parse_control(value)
        if not isinstance(message, RetrainRequest) or message.id not in answered:
            yield ControlRecord(value, str(path))
    seen = len(old)
    while True:
        idle()
        new = list(read_topic(settings, settings.topics.control, follow=False))[seen:] if path.exists() else []
        seen += len(new)
        yield from (ControlRecord(value, str(path)) for value in new)
        time.sleep(_POLL_MS / 1000)


def _from_topic(settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
    topic, kafka = settings.topics.control, settings.kafka
    consumer = _consumer(settings)
    try:
        if not consumer.partitions_for_topic(topic):
            raise absent(kafka, {topic: "Read"})
        consumer.subscribe([topic])
        while True:
            idle()
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from (
                    ControlRecord(record.value, f"{topic}/{record.partition}/{record.offset}")
                    for record in records
                    if record.value is not None
                )
                consumer.commit()
    except KafkaError as error:
        raise missing_acl("waiting for requests", error) or BrokerError(
            f"the control topic {topic} at {kafka.bootstrap_servers} cannot be read ({type(error).__name__})",
            "check the broker with 'watchkeeper check', then start again",
        ) from None
    finally:
        consumer.close(autocommit=False, timeout_ms=2000)


def _consumer(settings: Settings) -> KafkaConsumer:
    """The workers' group has its member; blocks up to limits.broker_wait_s for a broker."""
    kafka, wait_s = settings.kafka, settings.limits.broker_wait_s
    try:
        return KafkaConsumer(
            **client_options(kafka), group_id=f"{kafka.group}-worker", enable_auto_commit=False,
            auto_offset_reset="earliest", max_poll_records=1, max_poll_interval_ms=_LONGEST_TRAINING_MS,
            allow_auto_create_topics=False, isolation_level="read_committed", metrics_enabled=False,
            bootstrap_timeout_ms=int(wait_s * 1000),
        )  # fmt: skip
    except KafkaTimeoutError:
        raise unreachable(kafka, wait_s) from None
