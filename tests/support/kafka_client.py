"""What tests do with a broker: make topics, produce, read everything back, look at committed offsets."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove
from kafka.errors import RetriableError
from kafka.serializer import Serializer

T = TypeVar("T")

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Message:
    """A record to produce. partition None: by the key's hash; timestamp None: the client's clock, milliseconds."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    timestamp: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


NOTHING = object()


class _Plain(Serializer):  # type: ignore[misc]  # kafka-python has no types
    """Bytes as they are. The client itself refuses to send a record with neither key nor value; others do send it."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        """None for NOTHING."""
        return None if data is NOTHING else data


@dataclass(frozen=True, slots=True)
class Read:
    """A record as it lies in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running broker, seen by a client. Every call opens and closes its own connection."""

    bootstrap: str

    def unique(self, word: str) -> str:
        """A topic or group name that no other test uses."""
        return f"{word}-{os.getpid()}-{next(_numbers)}"

    def create(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        """Creates a topic and waits until it can be used."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            settings = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
            admin.create_topics({topic: settings}, wait_for_metadata=True)
        finally:
            admin.close()
        return topic

    def configure(self, topic: str, configs: Mapping[str, str]) -> None:
        """Sets configurations of a topic; the others stay."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))], incremental=True)
        finally:
            admin.close()

    def grow(self, topic: str, partitions: int) -> None:
        """Gives a topic more partitions."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.create_partitions({topic: partitions})
        finally:
            admin.close()

    def delete_records(self, topic: str, keep_from: Mapping[int, int]) -> None:
        """Removes what lies before an offset, partition by partition, as retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.delete_records({TopicPartition(topic, number): offset for number, offset in keep_from.items()})
        finally:
            admin.close()

    def evict(self, group: str, member_id: str) -> None:
        """Removes a member from a group, as the broker does with one that it does not hear from."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.remove_group_members(group, [MemberToRemove(member_id=member_id)])
        finally:
            admin.close()

    def producer(
        self, linger_ms: int, max_request_size: int = 2_000_000, compression: str | None = None
    ) -> KafkaProducer:
        """A producer for tests that send in their own way; to be closed by them."""
        return KafkaProducer(
            bootstrap_servers=self.bootstrap,
            linger_ms=linger_ms,
            max_request_size=max_request_size,
            compression_type=compression,
            value_serializer=_Plain(),
        )

    def produce(
        self,
        topic: str,
        messages: Iterable[Message],
        max_request_size: int = 2_000_000,
        compression: str | None = None,
    ) -> None:
        """Produces in order and returns when everything is acknowledged."""
        producer = self.producer(5, max_request_size, compression)
        try:
            sent = [
                producer.send(
                    topic,
                    value=NOTHING if message.value is None else message.value,
                    key=message.key,
                    partition=message.partition,
                    timestamp_ms=message.timestamp,
                    headers=list(message.headers),
                )
                for message in messages
            ]
            for future in sent:
                future.get(timeout=30)
        finally:
            producer.close()

    def read_all(self, *topics: str, isolation: str = "read_uncommitted") -> list[Read]:
        """Everything that lies in topics now: topic by topic, partition by partition, in offset order."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation,
        )
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in consumer.partitions_for_topic(topic) or ()
            ]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            found: list[Read] = []
            deadline = time.monotonic() + 60
            while any(consumer.position(partition) < ends[partition] for partition in partitions):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{', '.join(topics)}: not read to the end within 60 s")
                for records in consumer.poll(timeout_ms=200, max_records=10_000).values():
                    found += [
                        Read(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                        for r in records
                    ]
        finally:
            consumer.close()
        return sorted(found, key=lambda read: (read.topic, read.partition, read.offset))

    def await_transactions(self, *topics: str, within_s: float = 60.0) -> None:
        """Waits until no transaction is open in topics: a reader of committed messages sees nothing behind one.

        A producer that was killed and has no successor leaves one open until the broker ends it, some seconds after its
        timeout.
        """
        committed = KafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        everything = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            partitions = [
                TopicPartition(topic, n) for topic in topics for n in committed.partitions_for_topic(topic) or ()
            ]
            eventually(
                lambda: committed.end_offsets(partitions) == everything.end_offsets(partitions),
                within_s,
                what="all transactions",
            )
        finally:
            committed.close()
            everything.close()

    def ends(self, topic: str) -> dict[int, int]:
        """Partition -> offset of the next record."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            return {partition.partition: end for partition, end in consumer.end_offsets(partitions).items()}
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Committed offsets of a group by partition; partitions without one are left out."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            offsets = admin.list_group_offsets({group: None})[group]
        except RetriableError:
            return {}  # the broker makes its offsets topic when the first group asks, and reads it after a restart
        finally:
            admin.close()
        return {part.partition: entry.offset for part, entry in offsets.items() if part.topic == topic}


def eventually(look: Callable[[], T], within_s: float = 60.0, what: str = "the condition") -> T:
    """The first truthy result of `look`, asked five times a second; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within_s:.0f} s; last seen: {found!r}")
        time.sleep(0.2)
    return found
