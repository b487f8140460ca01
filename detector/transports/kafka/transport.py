"""The Kafka transport: one member of the group, one producer, readers for state and control.

The loop restores a partition before it reads from it: records that a poll gave of a partition assigned in the same
poll are left aside, and `resume` goes back to where its state stands.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CorruptRecordError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import ConsumerGroupMetadata

from detector.errors import BrokerError, DataError, RetriableError
from detector.transports.interface import ControlRecord, Message, Polled
from detector.transports.kafka.clients import Clients
from detector.transports.kafka.deliveries import Deliveries
from detector.transports.kafka.diagnosis import LOST_PARTITION, translate_error
from detector.transports.kafka.membership import ForgetfulStickyAssignor, Rebalance, RebalanceRecorder
from detector.transports.kafka.rights import demand_rights
from schemas.config import Settings

_READ_MS = 200
_CONTROL_EVERY_S = 0.25
_CORRUPT_TRIES = 3  # a broken wire mends itself, a broken disk does not
_PLACE = re.compile(r"partition=(\d+)\D+offset (\d+)")


class KafkaTransport:
    """Implements Transport over kafka-python. Blocks in its constructor until a broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topics
        clients = Clients(settings, "daemon")
        self._next: dict[int, int] = {}  # resumed partition -> offset of the next record
        self._unmarked: dict[
            TopicPartition, OffsetAndMetadata
        ] = {}  # offsets that a rebalance kept from being committed
        self._corrupt: dict[tuple[int, int], int] = {}  # place of a batch -> how often it was corrupt
        self._control_at = 0.0
        self._reader = clients.first_reader()
        demand_rights(settings)
        self._check_topics()
        self._uncommitted = clients.reader(committed=False) if settings.delivery == "exactly_once" else None
        self._deliveries = Deliveries(settings, clients)
        self._control = clients.reader()
        assignor = ForgetfulStickyAssignor()
        self._consumer: KafkaConsumer = clients.member(assignor)
        self._recorder = RebalanceRecorder(lambda: int(self._consumer.group_metadata().generation_id), assignor)
        self._member: ConsumerGroupMetadata = self._consumer.group_metadata()
        self._consumer.subscribe([self._topics.input], listener=self._recorder)
        self._follow_control()

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._topics.input

    def poll(self, timeout_s: float, most: int) -> Polled:
        """One poll of the group's member."""
        found, gaps = self._fetch(timeout_s, most)
        # In this order: a rebalance in between makes the membership too old, which is refused, never too new.
        self._member = self._consumer.group_metadata()
        rebalance = self._recorder.take(self._member, self._next)
        records: list[Any] = []
        for place, part in found.items():
            if place.partition in self._next and not _moved(place.partition, rebalance):
                records += part
                self._next[place.partition] = part[-1].offset + 1
        for partition in rebalance.assigned | rebalance.revoked | rebalance.lost:
            self._next.pop(partition, None)
        return Polled(records, rebalance.assigned, rebalance.revoked, rebalance.lost, gaps)

    def restore(self, partition: int) -> Mapping[bytes, bytes]:
        """Reads the partition's changelog to its end; the newest entry of a key counts."""
        place = TopicPartition(self._topics.state, partition)
        entries: dict[bytes, bytes] = {}
        if partition not in (self._reader.partitions_for_topic(place.topic) or ()):
            problem = f"{place.topic} has no partition {partition}"
            raise RetriableError(problem, f"give it as many as {self.topic} has; the watch waits for it")
        try:
            self._await_transactions(place)
            self._reader.assign([place])
            end = self._reader.end_offsets([place])[place]
            self._reader.seek(place, self._reader.beginning_offsets([place])[place])
            patience_s = self._settings.limits.delivery_timeout_s
            deadline = time.monotonic() + patience_s
            while self._reader.position(place) < end:
                for record in self._reader.poll(timeout_ms=_READ_MS).get(place, ()):
                    entries[record.key] = record.value
                    deadline = time.monotonic() + patience_s
                if time.monotonic() > deadline:
                    raise RetriableError(f"the state of partition {partition} did not come", "check the broker")
        except KafkaError as error:
            raise translate_error(f"reading the state of partition {partition}", error) from error
        return {key: value for key, value in entries.items() if value is not None}

    def resume(self, partition: int, offset: int | None) -> int:
        """Goes to the checkpoint's offset; without one to the committed one, or where kafka.start says."""
        place = TopicPartition(self.topic, partition)
        try:
            target = self._start(place) if offset is None else offset
        except KafkaError as error:
            raise translate_error(f"finding the start of partition {partition}", error) from error
        self._go_to(place, target)
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
        marks = {TopicPartition(self.topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        if self._deliveries.transactional:
            self._deliveries.commit(marks, self._member, timeout_s)
            return
        self._unmarked = {
            place: mark for place, mark in self._unmarked.items() if place.partition in self._next
        } | marks
        if not self._unmarked:
            return
        try:
            self._consumer.commit(self._unmarked, timeout_ms=int(timeout_s * 1000))
        except LOST_PARTITION:
            return  # in the middle of a rebalance: what is ours after it is marked the next time
        except KafkaError as error:
            raise translate_error("committing offsets", error) from error
        self._unmarked = {}

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
        for reader in (self._reader, self._control, self._uncommitted):
            if reader is not None:
                reader.close(autocommit=False, timeout_ms=500)

    def _fetch(self, timeout_s: float, most: int) -> tuple[Mapping[Any, Any], dict[int, tuple[int, int]]]:
        """Records by partition, and the offsets that are gone for good."""
        try:
            return self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most), {}
        except NoOffsetForPartitionError:
            self._rewind()
            return {}, {}  # newly assigned, and never committed: `resume` says where it begins
        except OffsetOutOfRangeError as error:
            return {}, self._pass_over(dict(error.args[0]))
        except CorruptRecordError as error:
            return {}, self._retry_corrupt(str(error))
        except KafkaError as error:
            raise translate_error("polling", error) from error

    def _pass_over(self, wanted: Mapping[TopicPartition, int]) -> dict[int, tuple[int, int]]:
        """Retention took records before they were read: goes on with the oldest that is there."""
        self._rewind()
        gaps: dict[int, tuple[int, int]] = {}
        try:
            begins = self._consumer.beginning_offsets(list(wanted))
        except KafkaError as error:
            raise translate_error("finding the oldest records", error) from error
        for place, offset in wanted.items():
            if place.partition not in self._next:
                continue  # not resumed yet
            if offset > begins[place]:
                raise DataError(
                    f"{self.topic} ends before offset {offset} of partition {place.partition}, where the state stands",
                    "it was made anew or lost records: name another kafka.group and topics.state to begin anew",
                )
            gaps[place.partition] = (offset, begins[place])
            self._go_to(place, begins[place])
        return gaps

    def _retry_corrupt(self, said: str) -> dict[int, tuple[int, int]]:
        """Asks again; what stays corrupt is passed over."""
        self._rewind()
        place = _PLACE.search(said)
        if place is None:
            return self._pass_unreadable()
        partition, base = int(place[1]), int(place[2])
        tries = self._corrupt[partition, base] = self._corrupt.get((partition, base), 0) + 1
        structlog.get_logger().error("corrupt batch", partition=partition, offset=base, tries=tries)
        if tries <= _CORRUPT_TRIES or partition not in self._next:
            self._shake_off(partition, self._next.get(partition, base))
            return {}
        gone, place = self._next[partition], TopicPartition(self.topic, partition)
        after = self._behind(place, base, gone)
        del self._corrupt[partition, base]
        self._go_to(place, after)
        return {partition: (gone, after)}

    def _behind(self, place: TopicPartition, base: int, offset: int) -> int:
        """The first offset behind the corrupt batch that begins at `base` and holds `offset`.

        The client does not say how long a batch is; but whatever offset of it is asked for, it names the same base.
        """

        def is_behind(asked: int) -> bool:
            found = _PLACE.search(self._unreadable(place, asked) or "")
            return found is None or int(found[2]) != base

        later = range(offset + 1, self._end(place))
        return offset + 1 + bisect_left(later, True, key=is_behind)

    def _pass_unreadable(self) -> dict[int, tuple[int, int]]:
        """A header's name that is not UTF-8 ends the batch for the client, which does not say where: each is asked."""
        for partition, offset in self._next.items():
            if self._unreadable(TopicPartition(self.topic, partition), offset) is None:
                continue
            structlog.get_logger().error("unreadable record", partition=partition, offset=offset)
            self._go_to(TopicPartition(self.topic, partition), offset + 1)
            return {partition: (offset, offset + 1)}
        raise RetriableError("a batch is corrupt", "check the broker's disks")

    def _unreadable(self, place: TopicPartition, offset: int) -> str | None:
        """What the client says of a record that cannot be read; None where it can, or where there is none yet."""
        try:
            self._reader.assign([place])
            self._reader.seek(place, offset)
            if offset < self._end(place):
                self._reader.poll(timeout_ms=int(self._settings.kafka.request_timeout_s * 1000), max_records=1)
        except CorruptRecordError as error:
            return str(error)
        except KafkaError as error:
            raise translate_error("looking for a record that cannot be read", error) from error
        return None

    def _end(self, place: TopicPartition) -> int:
        try:
            return int(self._reader.end_offsets([place])[place])
        except KafkaError as error:
            raise translate_error("finding the end of a partition", error) from error

    def _shake_off(self, partition: int, offset: int) -> None:
        """The client keeps a batch that failed, and turns in it for ever; moved away and back, it asks the broker."""
        with suppress(KafkaError, AssertionError):
            self._consumer.seek(TopicPartition(self.topic, partition), offset + 1)
            self._consumer.poll(timeout_ms=0, max_records=1)
        self._rewind()

    def _rewind(self) -> None:
        """To what was given last: what the client took from the broker in a poll that failed comes again."""
        for partition, offset in self._next.items():
            self._go_to(TopicPartition(self.topic, partition), offset)

    def _go_to(self, place: TopicPartition, offset: int) -> None:
        with suppress(IllegalStateError, AssertionError):  # taken away meanwhile: the next poll says so
            self._consumer.seek(place, offset)
            self._next[place.partition] = offset

    def _start(self, place: TopicPartition) -> int:
        committed = self._consumer.committed(place, timeout_ms=int(self._settings.limits.delivery_timeout_s * 1000))
        if committed is not None:
            return int(committed)
        ends = (
            self._consumer.end_offsets if self._settings.kafka.start == "latest" else self._consumer.beginning_offsets
        )
        return int(ends([place])[place])

    def _await_transactions(self, place: TopicPartition) -> None:
        """A member that was killed may have left a transaction open: until it ends, nobody knows what the state is."""
        if self._uncommitted is None:
            return
        patience_s = self._settings.kafka.transaction_timeout_s + self._settings.limits.delivery_timeout_s
        deadline, said = time.monotonic() + patience_s, False
        while self._reader.end_offsets([place])[place] < self._uncommitted.end_offsets([place])[place]:
            if time.monotonic() > deadline:
                raise RetriableError(
                    f"a transaction on {place.topic}/{place.partition} does not end",
                    "look for it with kafka-transactions.sh find-hanging; docs/how-to/choose-a-delivery.md goes on",
                )
            if not said:
                structlog.get_logger().info("waiting for an open transaction", partition=place.partition)
            said = True
            time.sleep(_READ_MS / 1000)

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


def _moved(partition: int, rebalance: Rebalance) -> bool:
    return partition in rebalance.assigned or partition in rebalance.revoked or partition in rebalance.lost
