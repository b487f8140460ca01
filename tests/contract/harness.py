"""The outsides of the transport interface, made to look alike: what a test feeds, what it reads back, how it fails."""

import base64
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from deploy.local.broker import Broker
from detector.transports import memory
from detector.transports.files.transport import FileTransport
from detector.transports.interface import Polled, Stream, Transport
from detector.transports.kafka.admin import Admin
from detector.transports.kafka.topics import plan
from detector.transports.kafka.transport import KafkaTransport
from detector.transports.memory.broker import MemoryRecord
from detector.transports.memory.topics import broker_of
from detector.transports.memory.transport import MemoryTransport
from detector.transports.messages import read_dead_letter
from schemas.config import Files, Limits, Settings, Topics
from schemas.config import Kafka as KafkaSettings
from schemas.feed import DeadLetter, DeadLetterLine
from tests.support.kafka_client import Cluster, Message

Delivery = Literal["at_least_once", "exactly_once"]
_numbers = itertools.count()


class Capability(StrEnum):
    """What a transport has a notion of; the suite asks a promise only of those that can keep it."""

    GROUP = "several members share several partitions"
    RETENTION = "records go before they are read"
    RETRY = "a delivery fails, and work begins again"
    TRANSACTIONS = "outputs, state and offsets become visible together"


CAPABILITIES: dict[str, frozenset[Capability]] = {
    # One reader, one partition; nobody deletes lines; a disk that fails ends the daemon.
    "files": frozenset(),
    "memory": frozenset(Capability),
    "kafka": frozenset(Capability),
}


def able(*wanted: Capability) -> list[str]:
    """The transports that have all of these; without any: all."""
    return [name for name, has in CAPABILITIES.items() if has.issuperset(wanted)]


class Outside(Protocol):
    """The input, and everything a transport writes."""

    settings: Settings

    def open(self) -> Transport:
        """A transport as a newly started daemon makes it."""
        ...

    def feed(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Appends records to the input."""
        ...

    def written(self, stream: Stream) -> list[bytes]:
        """The values that lie in a stream, in order; of transactions those that were committed."""
        ...

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Key, original value and coordinates of every dead letter."""
        ...


class BrokerOutside(Outside, Protocol):
    """An outside with a broker, which can fail."""

    def poll_all(self, *transports: Transport) -> list[Polled]:
        """One poll of each member, as if each were a process of its own (Capability.GROUP)."""
        ...

    def evict(self, transport: Transport) -> None:
        """The group throws a member out, which does not know of it yet (Capability.GROUP)."""
        ...

    def delete_before(self, offset: int) -> None:
        """What retention does to partition 0 (Capability.RETENTION)."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """Within it the broker answers nobody (Capability.RETRY)."""
        ...


class FilesOutside:
    """JSON lines in a directory, followed as they grow."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(transport="files", files=Files(directory=directory, follow=True))
        self._directory = directory
        self._input.touch()

    @property
    def _input(self) -> Path:
        return self._directory / f"{self.settings.topics.input}.jsonl"

    def open(self) -> Transport:
        """A new transport over the same directory."""
        return FileTransport(self.settings)

    def feed(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Appends lines."""
        assert partition == 0
        with self._input.open("ab") as file:
            file.writelines(value + b"\n" for value in values)

    def written(self, stream: Stream) -> list[bytes]:
        """Lines of a file."""
        path = self._directory / f"{getattr(self.settings.topics, stream.value)}.jsonl"
        return path.read_bytes().splitlines() if path.exists() else []

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Lines with the original in base64."""
        lines = [DeadLetterLine.model_validate_json(line) for line in self.written(Stream.DEAD_LETTERS)]
        return [(_bytes(line.key), _bytes(line.value), line.dead_letter) for line in lines]


class MemoryOutside:
    """Topics of a broker inside the process."""

    def __init__(self, partitions: int, delivery: Delivery) -> None:
        named = Settings(kafka=KafkaSettings(bootstrap_servers=f"memory-{next(_numbers)}"), delivery=delivery)
        self.settings = named.model_copy(update={"transport": "memory"})
        self.broker = broker_of(self.settings)
        memory.admin(self.settings, create=True, partitions=partitions, replication=-1, wait_s=0.0)

    def open(self) -> Transport:
        """A new member of the group."""
        return memory.open_transport(self.settings)

    def feed(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Stores records."""
        for value in values:
            self.broker.append(self.settings.topics.input, value, partition=partition)

    def written(self, stream: Stream) -> list[bytes]:
        """Values of a topic."""
        return [record.value or b"" for record in self._records(stream)]

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Original records with coordinates in their headers."""
        records = self._records(Stream.DEAD_LETTERS)
        return [(record.key, record.value, read_dead_letter(record.headers)) for record in records]

    def poll_all(self, *transports: Transport) -> list[Polled]:
        """One after the other: the broker has no threads, and needs none."""
        return [transport.poll(0.0, 1000) for transport in transports]

    def evict(self, transport: Transport) -> None:
        """Throws the transport's member out."""
        assert isinstance(transport, MemoryTransport)
        self.broker.group(self.settings.kafka.group, self.settings.topics.input).evict(transport.member)

    def delete_before(self, offset: int) -> None:
        """Takes the oldest records of partition 0."""
        self.broker.log(self.settings.topics.input, 0).delete_before(offset)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing is confirmed."""
        self.broker.away = True
        yield
        self.broker.away = False

    def _records(self, stream: Stream) -> list[MemoryRecord]:
        topic = getattr(self.settings.topics, stream.value)
        logs = [self.broker.log(topic, number) for number in range(self.broker.partitions(topic))]
        return [record for log in logs for record in log.records]


class KafkaOutside:
    """Topics of a real broker, with a group of their own."""

    def __init__(self, cluster: Cluster, machine: Broker, partitions: int, delivery: Delivery) -> None:
        word = cluster.unique("contract")
        names = {stream.value: f"{word}.{stream.value}" for stream in Stream}
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=cluster.bootstrap, group=word),
            topics=Topics(**names),
            limits=Limits(broker_wait_s=20),
            delivery=delivery,
        )
        self._cluster, self._machine = cluster, machine
        with Admin(self.settings.kafka, wait_s=10) as admin:
            admin.create(plan(self.settings, {}, partitions=partitions).values())

    def open(self) -> Transport:
        """A new member of the group."""
        return KafkaTransport(self.settings)

    def feed(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Produces records."""
        self._cluster.produce(self.settings.topics.input, [Message(value, partition=partition) for value in values])

    def written(self, stream: Stream) -> list[bytes]:
        """Values of a topic."""
        topic = getattr(self.settings.topics, stream.value)
        return [read.value or b"" for read in self._cluster.read_all(topic, isolation="read_committed")]

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Original records with coordinates in their headers."""
        reads = self._cluster.read_all(self.settings.topics.dead_letters)
        return [(read.key, read.value, read_dead_letter(read.headers)) for read in reads]

    def poll_all(self, *transports: Transport) -> list[Polled]:
        """At once. The client throws a rebalance away, and begins another, when its end falls between two polls."""
        with ThreadPoolExecutor(len(transports)) as pool:
            return list(pool.map(lambda transport: transport.poll(0.5, 1000), transports))

    def evict(self, transport: Transport) -> None:
        """Removes the transport's member, as an administrator can."""
        assert isinstance(transport, KafkaTransport)
        self._cluster.evict(self.settings.kafka.group, str(transport._member.member_id))

    def delete_before(self, offset: int) -> None:
        """Takes the oldest records of partition 0."""
        self._cluster.delete_records(self.settings.topics.input, {0: offset})

    @contextmanager
    def away(self) -> Iterator[None]:
        """The broker's process stands still."""
        self._machine.freeze()
        try:
            yield
        finally:
            self._machine.thaw()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
