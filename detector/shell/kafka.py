"""The Kafka transport: one consumer in the group, one idempotent producer, two readers for state and control.

Rebalance listeners run on the client's own thread, so they only take notes; the loop acts on them between polls.
Records of a partition that was assigned in the same poll are put back until its state is restored.
"""

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from detector.errors import BrokerError
from detector.shell.connection import client_options
from detector.shell.transport import ControlRecord, Message, Polled
from schemas.config import Settings

_LOST_PARTITION = (CommitFailedError, RebalanceInProgressError, UnknownMemberIdError)
_READ_MS = 200
_CONTROL_EVERY_S = 0.25
_SAY_WAITING_S = 5.0


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Takes down what the group gave and took, for the loop to act on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._assigned: set[int] = set()
        self._revoked: set[int] = set()

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Called on the client's thread."""
        with self._lock:
            numbers = {p.partition for p in revoked}
            self._assigned -= numbers
            self._revoked |= numbers

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Called on the client's thread."""
        with self._lock:
            self._assigned |= {p.partition for p in assigned}

    def take(self) -> tuple[frozenset[int], frozenset[int]]:
        """What was assigned and revoked since the last call."""
        with self._lock:
            notes = frozenset(self._assigned), frozenset(self._revoked)
            self._assigned, self._revoked = set(), set()
            return notes


class KafkaTransport:
    """Implements Transport over kafka-python. Blocks in its constructor until a broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._options = client_options(settings.kafka) | {"metadata_max_age_ms": 60_000}
        self._notes = _Notes()
        self._held: dict[int, int] = {}  # assigned partition -> offset of its first record put back
        self._futures: list[Any] = []
        self._control_at = 0.0
        self._reader = self._first_client()
        self._check_topics()
        self._consumer = self._make_consumer()
        self._producer = self._make_producer()
        self._control = self._make_reader()
        self._consumer.subscribe([self._topics.input], listener=self._notes)
        self._follow_control()

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._topics.input

    def poll(self, timeout_s: float, most: int) -> Polled:
        """One poll of the group's consumer."""
        try:
            found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most)
        except KafkaError as error:
            raise _fault("polling", error) from error
        assigned, revoked = self._notes.take()
        records: list[Any] = []
        for place, part in found.items():
            if place.partition in assigned:
                self._held[place.partition] = part[0].offset
            elif place.partition not in revoked:
                records += part
        return Polled(records, assigned, revoked)

    def restore(self, partition: int) -> Mapping[bytes, bytes]:
        """Reads the partition's changelog to its end; the newest entry of a key counts."""
        place = TopicPartition(self._topics.state, partition)
        entries: dict[bytes, bytes] = {}
        try:
            self._reader.assign([place])
            end = self._reader.end_offsets([place])[place]
            self._reader.seek_to_beginning(place)
            while self._reader.position(place) < end:
                for record in self._reader.poll(timeout_ms=_READ_MS).get(place, ()):
                    if record.value is None:
                        entries.pop(record.key, None)
                    else:
                        entries[record.key] = record.value
        except KafkaError as error:
            raise _fault(f"reading the state of partition {partition}", error) from error
        return entries

    def resume(self, partition: int, offset: int | None) -> None:
        """Goes to the checkpoint's offset; without one, back to the first record that was put back."""
        held = self._held.pop(partition, None)
        target = held if offset is None else offset
        if target is None:
            return
        try:
            self._consumer.seek(TopicPartition(self.topic, partition), target)
        except (IllegalStateError, AssertionError, ValueError):
            return  # revoked again meanwhile: the next poll says so

    def send(self, message: Message) -> None:
        """Hands a message to the producer; waits for the confirmations when too many are outstanding."""
        if len(self._futures) >= self._settings.limits.outstanding_sends:
            self.flush(self._settings.limits.delivery_timeout_s)
        topic = getattr(self._topics, message.stream.value)
        try:
            future = self._producer.send(topic, message.value, message.key, list(message.headers), message.partition)
        except KafkaError as error:
            raise _fault(f"sending to {topic}", error) from error
        self._futures.append(future)

    def flush(self, timeout_s: float) -> None:
        """Waits for every outstanding confirmation."""
        if not self._futures:
            return
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaError as error:
            raise _fault("waiting for deliveries", error) from error
        for future in self._futures:
            if not future.succeeded():
                raise _fault("a delivery", future.exception or TimeoutError())
        self._futures.clear()

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commits the group's offsets. A partition lost meanwhile is another member's: it goes on from the state."""
        marks = {TopicPartition(self.topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        try:
            self._consumer.commit(marks, timeout_ms=int(self._settings.limits.delivery_timeout_s * 1000))
        except _LOST_PARTITION:
            return
        except KafkaError as error:
            raise _fault("committing offsets", error) from error

    def control(self) -> list[ControlRecord]:
        """What came on the control topic; asks at most four times a second."""
        now = time.monotonic()
        if now < self._control_at:
            return []
        self._control_at = now + _CONTROL_EVERY_S
        try:
            found = self._control.poll(timeout_ms=0)
        except KafkaError as error:
            raise _fault("polling the control topic", error) from error
        return [
            ControlRecord(record.value, f"{record.topic}/{record.partition}/{record.offset}")
            for part in found.values()
            for record in part
            if record.value is not None
        ]

    def close(self, timeout_s: float) -> None:
        """Leaves the group and closes every client within the budget."""
        begun = time.monotonic()
        self._consumer.close(autocommit=False, timeout_ms=int(timeout_s * 500))
        left = max(timeout_s - (time.monotonic() - begun), 0.1)
        self._producer.close(timeout=left)
        for reader in (self._reader, self._control):
            reader.close(autocommit=False, timeout_ms=500)

    def _first_client(self) -> KafkaConsumer:
        """A reader, once a broker answers; waits for one up to limits.broker_wait_s, saying so."""
        kafka, wait_s = self._settings.kafka, self._settings.limits.broker_wait_s
        deadline = time.monotonic() + wait_s
        while True:
            left = deadline - time.monotonic()
            try:
                return self._make_reader(patience_s=min(left, _SAY_WAITING_S))
            except KafkaTimeoutError:
                if time.monotonic() < deadline:
                    structlog.get_logger().warning(
                        "waiting for a broker", at=kafka.bootstrap_servers, left_s=round(deadline - time.monotonic())
                    )
                    continue
                raise BrokerError(
                    f"no broker answered at {kafka.bootstrap_servers} for {wait_s:.0f} s",
                    "check kafka.bootstrap_servers and that the broker runs, then start again",
                ) from None
            except KafkaError as error:
                raise _fault("connecting", error) from error

    def _make_consumer(self) -> KafkaConsumer:
        limits, kafka = self._settings.limits, self._settings.kafka
        return KafkaConsumer(
            **self._options,
            group_id=kafka.group,
            enable_auto_commit=False,
            auto_offset_reset=kafka.start,
            max_poll_records=limits.poll_records,
            max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            metrics_enabled=False,
            # After a crash nobody watches its partitions until the session ends; the client's default is 45 s.
            session_timeout_ms=10_000,
        )

    def _make_producer(self) -> KafkaProducer:
        return KafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,  # 0 costs ten times as much a message
            batch_size=131_072,
            max_request_size=64 << 20,  # a dead letter is as large as its record: the topic's limit counts, not ours
            delivery_timeout_ms=int(self._settings.limits.delivery_timeout_s * 1000),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _make_reader(self, patience_s: float = 30.0) -> KafkaConsumer:
        """Blocks up to `patience_s` for a broker: the constructor asks it for its version."""
        return KafkaConsumer(
            **self._options,
            bootstrap_timeout_ms=max(int(patience_s * 1000), 1),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            metrics_enabled=False,
        )

    def _check_topics(self) -> None:
        needed = [self._topics.input, self._topics.alerts, self._topics.dead_letters, self._topics.control]
        if self._settings.scores.emit != "none":
            needed.append(self._topics.scores)
        counts = {topic: self._reader.partitions_for_topic(topic) for topic in [*needed, self._topics.state]}
        missing = [topic for topic, partitions in counts.items() if not partitions]
        if missing:
            raise BrokerError(f"the broker has no topic {', '.join(missing)}", "run: watchkeeper topics --create")
        if len(counts[self._topics.state]) < len(counts[self.topic]):
            raise BrokerError(
                f"{self._topics.state} has fewer partitions than {self.topic}", "run: watchkeeper topics --create"
            )

    def _follow_control(self) -> None:
        """From now on: what was published before stands in the store already."""
        topic = self._topics.control
        places = [TopicPartition(topic, number) for number in self._control.partitions_for_topic(topic)]
        self._control.assign(places)
        for place, end in self._control.end_offsets(places).items():
            self._control.seek(place, end)


def _fault(doing: str, error: BaseException) -> BrokerError:
    return BrokerError(
        f"{doing} failed ({type(error).__name__}: {str(error)[:160]})",
        "check the broker with 'watchkeeper check'; nothing that was not confirmed is committed",
    )
