"""The Kafka transport: one member of the group, one producer, readers for state and control.

The loop restores a partition before it reads from it: records that a poll gave of a partition assigned in the same
poll are left aside, and `resume` goes back to where its state stands.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import ConsumerGroupMetadata

from detector.core.state.codec import Owner
from detector.errors import BrokerError, DataError
from detector.transports.interface import ControlRecord, Message, Polled, nothing
from detector.transports.kafka.changelog import Changelog
from detector.transports.kafka.clients import Clients
from detector.transports.kafka.damaged import DamagedBatches
from detector.transports.kafka.deliveries import Deliveries
from detector.transports.kafka.diagnosis import LOST_PARTITION, translate_error
from detector.transports.kafka.liveness import Liveness
from detector.transports.kafka.markers import owner_of
from detector.transports.kafka.membership import ForgetfulStickyAssignor, RebalanceRecorder
from detector.transports.kafka.positions import Positions
from detector.transports.kafka.rights import demand_rights
from schemas.config import Settings

_CONTROL_EVERY_S = 0.25


class KafkaTransport:
    """Implements Transport over kafka-python. Blocks in its constructor until a broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topics
        clients = Clients(settings, "daemon")
        # Offsets that a rebalance kept from being committed.
        self._uncommitted: dict[TopicPartition, OffsetAndMetadata] = {}
        self._control_at = 0.0
        self._reader = clients.first_reader()
        found = demand_rights(settings)
        self._check_topics()
        self._owner = owner_of(settings, found)
        self._changelog = Changelog(settings, clients, self._reader)
        self._deliveries = Deliveries(settings, clients)
        self._control = clients.reader()
        assignor = ForgetfulStickyAssignor()
        self._consumer: KafkaConsumer = clients.member(assignor)
        self._positions = Positions(self._consumer, self.topic)
        self._damaged = DamagedBatches(self._reader, self._positions, settings.kafka.request_timeout_s)
        self._liveness = Liveness(self._consumer, settings.kafka.bootstrap_servers, time.monotonic())
        self._recorder = RebalanceRecorder(lambda: int(self._consumer.group_metadata().generation_id), assignor)
        self._member: ConsumerGroupMetadata = self._consumer.group_metadata()
        self._consumer.subscribe([self.topic], listener=self._recorder)
        self._follow_control()

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._topics.input

    @property
    def owner(self) -> Owner:
        """Group, input, and which topic of that name it is."""
        return self._owner

    def poll(self, timeout_s: float, most: int) -> Polled:
        """One poll of the group's member."""
        found, gaps = self._fetch(timeout_s, most)
        self._demand_broker(heard=bool(found or gaps))
        # In this order: a rebalance in between makes the membership too old, which is refused, never too new.
        self._member = self._consumer.group_metadata()
        rebalance = self._recorder.take(self._member, self._positions.next)
        moved = rebalance.assigned | rebalance.revoked | rebalance.lost
        records: list[Any] = []
        for source, part in found.items():
            if source.partition in self._positions.next and source.partition not in moved:
                records += part
                self._positions.next[source.partition] = part[-1].offset + 1
        self._positions.forget(moved)
        return Polled(records, rebalance.assigned, rebalance.revoked, rebalance.lost, gaps, self._positions.lag())

    def restore(self, partition: int, advanced: Callable[[], None] = nothing) -> Mapping[bytes, bytes]:
        """Reads the partition's changelog to its end; the newest entry of a key counts."""
        return self._changelog.read(partition, advanced)

    def resume(self, partition: int, offset: int | None) -> int:
        """Goes to the checkpoint's offset; without one to the committed one, or where kafka.start says."""
        try:
            target = self._start(self._positions.of(partition)) if offset is None else offset
        except KafkaError as error:
            raise translate_error(f"finding the start of partition {partition}", error) from error
        self._positions.go_to(partition, target)
        return target

    def send(self, message: Message) -> None:
        """Hands a message to the producer; waits for the confirmations when too many are outstanding."""
        self._deliveries.send(getattr(self._topics, message.stream.value), message)

    def flush(self, timeout_s: float) -> None:
        """Waits for every outstanding confirmation."""
        self._deliveries.flush(timeout_s)

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> None:
        """Commits the group's offsets; under exactly_once with everything that was sent.

        At least once, a partition lost meanwhile is another member's: it goes on from the state.
        """
        marks = {self._positions.of(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        if self._deliveries.transactional:
            self._deliveries.commit(marks, self._member, timeout_s)
            return
        kept = {source: mark for source, mark in self._uncommitted.items() if source.partition in self._positions.next}
        self._uncommitted = kept | marks
        if not self._uncommitted:
            return
        try:
            self._consumer.commit(self._uncommitted, timeout_ms=int(timeout_s * 1000))
        except LOST_PARTITION:
            return  # in the middle of a rebalance: what is ours after it is marked the next time
        except KafkaError as error:
            raise translate_error("committing offsets", error) from error
        self._uncommitted = {}

    def recover(self) -> None:
        """Makes a new producer; what the old one had not confirmed is dropped."""
        self._deliveries.rebuild()

    def control(self) -> list[ControlRecord]:
        """What came on the control topic; asks at most four times a second."""
        now = time.monotonic()
        if now < self._control_at:
            return []
        self._control_at = now + _CONTROL_EVERY_S
        try:
            found = self._control.poll(timeout_ms=0)
        except KafkaError as error:
            raise translate_error("polling the control topic", error) from error
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
        self._deliveries.close(left)
        self._changelog.close()
        for reader in (self._reader, self._control):
            reader.close(autocommit=False, timeout_ms=500)

    def _demand_broker(self, *, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self._liveness.heard(now)
        self._liveness.check([self._positions.of(number) for number in sorted(self._positions.next)], now)

    def _fetch(self, timeout_s: float, most: int) -> tuple[Mapping[Any, Any], dict[int, tuple[int, int]]]:
        """Records by partition, and the offsets that are gone for good."""
        try:
            return self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most), {}
        except NoOffsetForPartitionError:
            self._positions.rewind()
            return {}, {}  # newly assigned, and never committed: `resume` says where it begins
        except OffsetOutOfRangeError as error:
            return {}, self._pass_over(dict(error.args[0]))
        except CorruptRecordError as error:
            return {}, self._damaged.pass_over(str(error))
        except KafkaError as error:
            raise translate_error("polling", error) from error

    def _pass_over(self, wanted: Mapping[TopicPartition, int]) -> dict[int, tuple[int, int]]:
        """Retention took records before they were read: goes on with the oldest that is there."""
        self._positions.rewind()
        gaps: dict[int, tuple[int, int]] = {}
        try:
            begins = self._consumer.beginning_offsets(list(wanted))
        except KafkaError as error:
            raise translate_error("finding the oldest records", error) from error
        for source, offset in wanted.items():
            partition, begin = source.partition, begins[source]
            if partition not in self._positions.next:
                continue  # not resumed yet
            if offset > begin:
                raise DataError(
                    f"{self.topic} ends before offset {offset} of partition {partition}, where the state stands",
                    "it was made anew or lost records: name another kafka.group and topics.state to begin anew",
                )
            gaps[partition] = (offset, begin)
            self._positions.go_to(partition, begin)
        return gaps

    def _start(self, source: TopicPartition) -> int:
        timeout_ms = int(self._settings.limits.delivery_timeout_s * 1000)
        committed = self._consumer.committed(source, timeout_ms=timeout_ms)
        if committed is not None:
            return int(committed)
        latest = self._settings.kafka.start == "latest"
        edges = self._consumer.end_offsets if latest else self._consumer.beginning_offsets
        return int(edges([source])[source])

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
        partitions = [TopicPartition(topic, number) for number in self._control.partitions_for_topic(topic)]
        self._control.assign(partitions)
        for partition, end in self._control.end_offsets(partitions).items():
            self._control.seek(partition, end)
