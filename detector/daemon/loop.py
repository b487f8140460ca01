"""The tick: poll, process, produce, await delivery, commit, then apply what was pending. One thread does it all."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from detector.bundles.loading import OnnxScorer
from detector.core.state import checkpoint
from detector.core.watch import Outcome, Watch
from detector.daemon.health import Health
from detector.daemon.metrics import Metrics
from detector.daemon.swaps import Swaps
from detector.errors import BadInputLimit, DataError, PartitionsLost, RetriableError
from detector.transports.control import parse_control
from detector.transports.interface import Message, Polled, Stream, Transport
from detector.transports.messages import outcome_messages
from schemas.config import Settings
from schemas.control import ModelPublished

_LOG_EVERY_S = 10.0
_POLL_TIMEOUT_S = 0.5
_LONGEST_PAUSE_S = 2.0  # between two tries to go on; a stop signal waits no longer than this
_ALERT_WAIT_S = (
    0.25  # under exactly_once an alert is visible with the commit: it does not wait for the next regular one
)


@dataclass(slots=True)
class _TickTotals:
    """What happened since the last canonical log line."""

    ticks: int = 0
    records: int = 0
    scored: int = 0
    alerts: int = 0
    dead_letters: int = 0

    def add(self, outcome: Outcome) -> None:
        self.ticks += 1
        self.records += outcome.records
        self.scored += outcome.scored
        self.alerts += len(outcome.alerts)
        self.dead_letters += len(outcome.dead_letters)


class Loop:
    """Runs ticks over a transport. clock: wall time in seconds, for silence only."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        scorers: dict[str, OnnxScorer],
        metrics: Metrics,
        health: Health,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.watch = Watch(settings, scorers, by_feed=feed_clock(settings), topic=transport.topic)
        self._transport = transport
        self._scorers = dict(scorers)
        self._swaps = Swaps(settings, metrics)
        self._metrics, self._health, self._clock = metrics, health, clock
        self._log = structlog.get_logger()
        self._positions: dict[int, int] = {}  # assigned partition -> next offset
        self._committed: dict[int, int] = {}
        self._transactional = settings.delivery == "exactly_once"
        self.interrupted: RetriableError | None = None  # what failed, until work has begun again
        self._pause_s = 0.0  # what the last interruption waited; longer each time, until a commit succeeds
        self._checkpoint_at = time.monotonic() + settings.limits.checkpoint_s
        self._recent: deque[tuple[int, int]] = deque()  # records and dead letters of recent polls
        self._tally, self._log_at = _TickTotals(), time.monotonic() + _LOG_EVERY_S
        self._tell_models()

    def tick(self) -> bool:
        """One turn; False when the input has ended. Raises BrokerError or BadInputLimit; never for a bad record.

        A RetriableError is waited out here: state is restored, and the records since the last checkpoint come again.
        """
        try:
            if self.interrupted:
                self._recover()
            return self._turn()
        except RetriableError as fault:
            self._wait_out(fault)
            return True

    def _turn(self) -> bool:
        begun = time.monotonic()
        polled = self._transport.poll(_POLL_TIMEOUT_S, self.settings.limits.poll_records)  # 1. poll
        arrived = time.monotonic()
        self._rebalance(polled)
        outcome = self.watch.process(polled.records, self._clock())  # 2. decode ... incident, drift
        if polled.ended:
            _merge(outcome, self.watch.finish(self._clock()))
        for message in outcome_messages(outcome):  # 3. produce
            self._transport.send(message)
        self._positions.update(outcome.offsets)
        self._tell_gaps(polled)
        if self._transactional and outcome.alerts:
            self._checkpoint_at = min(self._checkpoint_at, arrived + _ALERT_WAIT_S)
        if time.monotonic() >= self._checkpoint_at or polled.ended:
            self.commit()  # 4. await delivery, then 5. commit state and offsets, together
        self._observe(outcome, arrived)
        self._check_bad_input(outcome)
        self._apply_pending()  # 6. model swaps, at a batch boundary
        self._pace(begun, len(polled.records))
        return not polled.ended

    def commit(self, within_s: float | None = None) -> None:
        """Writes the state of every partition that moved, waits for all outputs, and commits the offsets.

        Deliveries are awaited here and not in every tick: they are on their way meanwhile, and nothing counts as done
        before they are confirmed. within_s: for each of the waits; None: limits.delivery_timeout_s.
        """
        timeout_s = within_s or self.settings.limits.delivery_timeout_s
        self._checkpoint_at = time.monotonic() + self.settings.limits.checkpoint_s
        # State that is newer than what it gave would make a replay pass over an alert that never arrived; and an idle
        # feed has alerts too: silence.
        self._transport.flush(timeout_s)
        moved = {p: o for p, o in self._positions.items() if self._committed.get(p) != o or self.watch.changed(p)}
        for partition, offset in moved.items():
            for key, value in checkpoint.snapshot(self.watch, partition, offset):
                self._transport.send(Message(Stream.STATE, value, key, partition=partition))
        self._transport.flush(timeout_s)
        self._transport.commit(moved, timeout_s)
        self._committed.update(moved)
        self._pause_s = 0.0
        if moved:
            self._metrics.commits.inc()

    def configure(self, settings: Settings) -> None:
        """Takes up a reloaded configuration between ticks."""
        self.settings = settings
        self.watch.configure(settings)

    def _rebalance(self, polled: Polled) -> None:
        if not polled.lost | polled.revoked | polled.assigned:
            return
        for partition in polled.lost:
            self._let_go(partition)
        try:
            if polled.lost and self._transactional:
                raise PartitionsLost("partitions were taken away within a transaction", "this mends itself")
            if polled.revoked:
                self.commit()  # what the next owner need not read again
        finally:
            for partition in polled.revoked:
                self._let_go(partition)
            self._positions |= dict.fromkeys(polled.assigned, 0)
            self._health.partitions = len(self._positions)
            self._metrics.partitions.set(len(self._positions))
        for partition in sorted(polled.assigned):
            self._take_up(partition)

    def _let_go(self, partition: int) -> None:
        self.watch.release(partition)
        self._positions.pop(partition, None)
        self._committed.pop(partition, None)

    def _take_up(self, partition: int) -> None:
        """Restores a partition and goes to where its state stands."""
        self.watch.release(partition)
        entries = self._transport.restore(partition)
        try:
            offset = checkpoint.restore(self.watch, partition, entries, self._clock())
        except ValueError as error:
            raise DataError(
                f"the state of partition {partition} is refused: {error}",
                "use the watchkeeper that wrote it, or remove the state to begin anew",
            ) from None
        self._committed.pop(partition, None)
        self._positions[partition] = self._transport.resume(partition, offset)
        if offset is not None:
            self._committed[partition] = offset
        self._log.info("partition assigned", partition=partition, resumes_at=offset, state_entries=len(entries))

    def _wait_out(self, fault: RetriableError) -> None:
        """Says what failed and waits a moment: longer each time, until it can go on."""
        self._pause_s = min(max(2 * self._pause_s, 0.1), _LONGEST_PAUSE_S)
        self.interrupted, self._health.interrupted = fault, True
        self._health.advanced = time.monotonic()  # waiting for a broker is life: a restart would not bring it back
        self._metrics.interruptions.inc()
        self._log.warning("interrupted", reason=fault.problem, remedy=fault.remedy, next_try_s=self._pause_s)
        time.sleep(self._pause_s)

    def _recover(self) -> None:
        self._transport.recover()
        for partition in sorted(self._positions):
            self._take_up(partition)
        self.interrupted, self._health.interrupted = None, False
        self._metrics.recoveries.inc()
        self._log.info("recovered", partitions=len(self._positions))

    def _tell_gaps(self, polled: Polled) -> None:
        """Records that nobody will ever score: said loudly, since nothing else will show that they are missing."""
        for partition, (begin, end) in polled.gaps.items():
            self._positions[partition] = end
            self._metrics.gap_records.inc(end - begin)
            self._log.error(
                "records lost before they were read", partition=partition, first=begin, last=end - 1,
                remedy="raise the input's retention.ms, or give the watch more members",
            )  # fmt: skip

    def _observe(self, outcome: Outcome, arrived: float) -> None:
        now = time.monotonic()
        self._health.advanced = now
        self._metrics.observe(outcome)
        if outcome.records:
            self._metrics.tick.observe(now - arrived)
        self._tally.add(outcome)
        for alert in outcome.alerts:
            data = alert.data
            self._log.info(
                "alert", state=data.state.value, kind=data.kind.value, asset=data.asset, severity=data.severity.value,
                incident=data.incident, message=data.message,
            )  # fmt: skip
        for request in outcome.requests:
            self._log.warning("drift", model=request.model, reason=request.reason, request=request.id)
        if now >= self._log_at:
            self._tell(now, outcome)

    def _tell(self, now: float, outcome: Outcome) -> None:
        """The canonical line, and the gauges that need counting."""
        self._log_at = now + _LOG_EVERY_S
        tally, self._tally = self._tally, _TickTotals()
        for name, pipeline in self.watch.pipelines.items():
            self._metrics.assets.labels(name).set(len(pipeline.assets))
            opened = sum(incident.is_open for incident in pipeline.incidents.values())
            self._metrics.open_incidents.labels(name, "process").set(opened)
            self._metrics.open_incidents.labels(name, "quality").set(len(pipeline.quality_incidents))
        self._metrics.unwatched.set(len(self.watch.unwatched))
        if outcome.newest_s > 0:
            self._metrics.newest.set(outcome.newest_s)
        self._log.info(
            "watching", ticks=tally.ticks, records=tally.records, scored=tally.scored, alerts=tally.alerts,
            dead_letters=tally.dead_letters, unwatched=len(self.watch.unwatched),
        )  # fmt: skip

    def _check_bad_input(self, outcome: Outcome) -> None:
        """Stops loudly when nearly everything is bad: then the feed changed, and nobody watches the plant."""
        if not outcome.records:
            return
        limits = self.settings.limits
        self._recent.append((outcome.records, len(outcome.dead_letters)))
        total = sum(records for records, _ in self._recent)
        while total - self._recent[0][0] >= limits.bad_of_last:
            total -= self._recent.popleft()[0]
        bad = sum(letters for _, letters in self._recent)
        if total >= limits.bad_of_last and bad > limits.bad_share * total:
            self.commit()
            raise BadInputLimit(
                f"{bad} of the last {total} records could not be read",
                f"see the reasons in {self.settings.topics.dead_letters}, correct 'feed' in the configuration; "
                "the limit is limits.bad_share of limits.bad_of_last",
            )

    def _apply_pending(self) -> None:
        for record in self._transport.control():
            message = parse_control(record.value)
            if isinstance(message, str):
                self._metrics.bad_control.inc()
                self._log.warning("control message refused", origin=record.origin, reason=message)
            elif isinstance(message, ModelPublished):
                self._swaps.announce(message, self._scorers)
        for scorer in self._swaps.take():
            self._swap(scorer)

    def _swap(self, scorer: OnnxScorer) -> None:
        manifest = scorer.manifest
        old = self._scorers[manifest.model].manifest.model_version
        self.watch.swap(scorer)
        self._scorers[manifest.model] = scorer
        self._metrics.swaps.labels(manifest.model).inc()
        self._metrics.model.remove(manifest.model, old)
        self._tell_models()
        self._log.info("model swapped", model=manifest.model, version=manifest.model_version, before=old)

    def _tell_models(self) -> None:
        for name, scorer in self._scorers.items():
            version = scorer.manifest.model_version
            self._health.models[name] = version
            self._metrics.model.labels(name, version).set(1)

    def _pace(self, begun: float, records: int) -> None:
        """Waits out the least interval between polls, unless the input is behind."""
        limits = self.settings.limits
        left = begun + limits.poll_interval_ms / 1000 - time.monotonic()
        if left > 0 and records < limits.poll_records // 2:
            time.sleep(left)


def feed_clock(settings: Settings) -> bool:
    """Whether silence is measured against the feed's own time."""
    clock = settings.alarms.silence_clock
    return clock == "feed" or (clock == "auto" and settings.transport == "files")


def _merge(outcome: Outcome, last: Outcome) -> None:
    outcome.alerts += last.alerts
    outcome.scores += last.scores
    outcome.requests += last.requests
    outcome.scored += last.scored
