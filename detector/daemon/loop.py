"""The tick: poll, process, produce, await delivery, commit, then apply what was pending. One thread does it all."""

import time
from collections.abc import Callable, Iterable

from detector.bundles.loading import OnnxScorer
from detector.core.outcome import Outcome
from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.tally import Tally
from detector.core.watch import Watch
from detector.daemon.health import Health
from detector.daemon.metrics import Metrics
from detector.daemon.partitions import PartitionEvent, Partitions, PartitionState
from detector.daemon.policies import BadInputPolicy, BlindnessPolicy, CheckpointPolicy, PollPace, RetryPause
from detector.daemon.reporting import Reporter
from detector.daemon.swaps import Swaps
from detector.errors import BadInputLimit, DataError, NothingScored, PartitionsLost, RetriableError
from detector.transports.control import parse_control
from detector.transports.interface import Message, Polled, Stream, Transport
from detector.transports.messages import outcome_messages
from detector.transports.ownership import not_ours
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.control import ModelPublished

_POLL_TIMEOUT_S = 0.5


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
        now = time.monotonic()
        self.settings, self.metrics, self.health = settings, metrics, health
        self.watch = Watch(WatchSettings.of(settings), scorers, by_feed=feed_clock(settings), topic=transport.topic)
        self.interrupted: RetriableError | None = None  # what failed, until work has begun again
        self._transport, self._clock = transport, clock
        self._transactional = settings.delivery == "exactly_once"
        self._scorers, self._swaps = dict(scorers), Swaps(settings, metrics, scorers, now)
        self._partitions = Partitions()
        self._checkpoint, self._bad_input = CheckpointPolicy(settings.limits, now), BadInputPolicy(settings.limits)
        self._blindness, self._tally = BlindnessPolicy(settings.limits), Tally()
        self._pace, self._retry = PollPace(settings.limits), RetryPause()
        self._report = Reporter(metrics, health, now)
        self._report.models(scorers.values())

    def tick(self) -> bool:
        """One turn; False when the input has ended. Raises WatchkeeperError, never for a bad record: see errors.py.

        BrokerError and ConfigError come from the transport, DataError from a state or a file that cannot be read or
        written, BadInputLimit from a feed that is nearly all bad.

        A RetriableError is waited out here: state is restored, and the records since the last checkpoint come again.
        """
        try:
            if self.interrupted:
                self._recover()
            return self._turn()
        except RetriableError as error:
            self._wait_out(error)
            return True

    def _turn(self) -> bool:
        begun = time.monotonic()
        polled = self._transport.poll(_POLL_TIMEOUT_S, self.settings.limits.poll_records)  # 1. poll
        arrived = time.monotonic()
        self._rebalance(polled)
        behind = self._behind(polled)
        outcome = self.watch.process(polled.records, self._clock(), behind)  # 2. decode ... incident, drift
        if polled.ended:
            outcome.add(self.watch.finish(self._clock()))
        for message in outcome_messages(outcome):  # 3. produce
            self._transport.send(message)
        self._advance(outcome, polled)
        if self._transactional and outcome.alerts:
            self._checkpoint.hurry(arrived)
        if self._checkpoint.due(time.monotonic()) or polled.ended:
            self.commit()  # 4. await delivery, then 5. commit state and offsets, together
        self._report.tick(outcome, self.watch, arrived, time.monotonic())
        self._tally.add(outcome)
        self._report.blind(self._blindness.add(outcome, self.watch.unwatched, time.monotonic()))
        self._stop_on_bad_input(outcome)
        self._apply_pending()  # 6. model swaps, at a batch boundary
        if pause_s := self._pace.pause_s(begun, time.monotonic(), len(polled.records)):
            time.sleep(pause_s)
        return not polled.ended

    def commit(self, within_s: float | None = None) -> None:
        """Writes the state of every partition that moved, waits for all outputs, and commits the offsets.

        Deliveries are awaited here and not in every tick: they are on their way meanwhile, and nothing counts as done
        before they are confirmed. within_s: for each of the waits; None: limits.delivery_timeout_s.
        """
        timeout_s = within_s or self.settings.limits.delivery_timeout_s
        self._checkpoint.begun(time.monotonic())
        # State that is newer than what it gave would make a replay pass over an alert that never arrived; and an idle
        # feed has alerts too: silence.
        self._transport.flush(timeout_s)
        moved = self._partitions.to_commit(self.watch.changed)
        for partition, offset in moved.items():
            for key, value in checkpoint.snapshot(self.watch, partition, offset, self._transport.owner):
                self._transport.send(Message(Stream.STATE, value, key, partition=partition))
        self._transport.flush(timeout_s)
        self._transport.commit(moved, timeout_s)
        for partition, offset in moved.items():
            self._partitions.commit(partition, offset)
        self._retry.succeeded()
        self._report.committed(len(moved))

    def demand_scored(self) -> None:
        """At the end of the input: raises NothingScored where records were read and none was scored."""
        fault = self._tally.nothing_scored(self.watch.unwatched)
        if fault is not None:
            raise NothingScored(*fault)

    def configure(self, settings: Settings) -> None:
        """Takes up a reloaded configuration between ticks."""
        self.settings = settings
        self.watch.configure(WatchSettings.of(settings))
        for policy in (self._checkpoint, self._bad_input, self._blindness, self._pace):
            policy.configure(settings.limits)

    def _rebalance(self, polled: Polled) -> None:
        if not polled.lost | polled.revoked | polled.assigned:
            return
        self._step(polled.lost, PartitionEvent.LOSE)
        self._forget(polled.lost)
        self._step(polled.revoked, PartitionEvent.REVOKE)
        try:
            if polled.lost and self._transactional:
                raise PartitionsLost("partitions were taken away within a transaction", "this mends itself")
            if polled.revoked:
                self.commit()  # what the next owner need not read again
        finally:
            self._forget(polled.revoked)
            self._step(polled.assigned, PartitionEvent.ASSIGN)
            self._report.partitions(len(self._partitions), restoring=bool(polled.assigned))
        for partition in sorted(polled.assigned):
            self._restore(partition)
        self._report.partitions(len(self._partitions), restoring=False)

    def _step(self, partitions: Iterable[int], event: PartitionEvent) -> None:
        for partition in partitions:
            self._partitions.step(partition, event)

    def _forget(self, partitions: Iterable[int]) -> None:
        """Drops the state of partitions that are another member's from here on."""
        for partition in partitions:
            self.watch.release(partition)
            if self._partitions.state(partition) is PartitionState.REVOKED:
                self._partitions.step(partition, PartitionEvent.RELEASE)

    def _restore(self, partition: int) -> None:
        """Restores a partition and goes to where its state stands."""
        self.watch.release(partition)
        entries = self._transport.restore(partition, self._report.advanced)
        try:
            owner = checkpoint.owner_of(entries)
            if owner is not None and owner.conflicts_with(self._transport.owner):
                raise not_ours(self.settings.topics.state, owner, self._transport.owner)
            offset = checkpoint.restore(self.watch, partition, entries, self._clock())
        except ValueError as error:
            raise DataError(
                f"the state of partition {partition} is refused: {error}",
                "use the watchkeeper that wrote it, or remove the state to begin anew",
            ) from None
        self._partitions.step(partition, PartitionEvent.RESTORE)
        committed = offset if owner == self._transport.owner else None  # a marker of before gets its owner
        self._partitions.resume(partition, self._transport.resume(partition, offset), committed)
        self._report.assigned(partition, offset, len(entries))

    def _wait_out(self, error: RetriableError) -> None:
        """Reports what failed and waits: longer each time, until work can go on."""
        pause_s = self._retry.next_s()
        self.interrupted = error
        self._partitions.interrupt()
        self._report.interrupted(error, pause_s, time.monotonic())
        time.sleep(pause_s)

    def _recover(self) -> None:
        self._transport.recover()
        for partition in self._partitions.held():
            self._restore(partition)
        self.interrupted = None
        self._report.recovered(len(self._partitions))

    def _advance(self, outcome: Outcome, polled: Polled) -> None:
        """Moves the offsets over what was read, and over what is gone and nobody will ever read."""
        for partition, offset in outcome.offsets.items():
            self._partitions.advance(partition, offset)
        # Of a partition that was taken away in the same poll, the next owner finds and reports the gap.
        gaps = {n: gap for n, gap in polled.gaps.items() if self._partitions.state(n) is PartitionState.READING}
        for partition, (_, end) in gaps.items():
            self._partitions.advance(partition, end)
        self._report.gaps(gaps)
        self._report.lag(polled.lag)

    def _behind(self, polled: Polled) -> set[int]:
        """Partitions of which more is left than a poll reads: less may be markers of transactions alone."""
        return {partition for partition, left in polled.lag.items() if left > self.settings.limits.poll_records}

    def _stop_on_bad_input(self, outcome: Outcome) -> None:
        """Stops loudly when nearly everything is bad."""
        exceeded = self._bad_input.add(outcome.records, len(outcome.dead_letters), time.monotonic(), outcome.newest_s)
        if exceeded is None:
            return
        bad, total = exceeded
        self.commit()
        raise BadInputLimit(
            f"{bad} of the last {total} records could not be read",
            f"see the reasons in {self.settings.topics.dead_letters}, correct 'feed' in the configuration; "
            "the limit is limits.bad_share of limits.bad_of_last, or of limits.bad_span_s",
        )

    def _apply_pending(self) -> None:
        now = time.monotonic()
        for record in self._transport.control():
            message = parse_control(record.value)
            if isinstance(message, str):
                self._report.bad_control(record.origin, message)
            elif isinstance(message, ModelPublished):
                self._swaps.announce(message, self._scorers, now)
        self._swaps.compare(self._scorers, now)
        for scorer in self._swaps.take(self._scorers, now):
            model = scorer.manifest.model
            before = self._scorers[model].manifest.model_version
            self.watch.swap(scorer)
            self._scorers[model] = scorer
            self._report.swapped(scorer, before)


def feed_clock(settings: Settings) -> bool:
    """Whether silence is measured against the feed's own time."""
    clock = settings.alarms.silence_clock
    return (transport_of(settings).clock if clock == "auto" else clock) == "feed"
