"""The two outsides of the transport seam, made to look alike: what a test feeds, and what it reads back."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from detector.transports.files.transport import FileTransport
from detector.transports.interface import Stream, Transport
from detector.transports.kafka.admin import Admin
from detector.transports.kafka.topics import plan
from detector.transports.kafka.transport import KafkaTransport
from detector.transports.messages import read_dead_letter
from schemas.config import Files, Limits, Settings, Topics
from schemas.config import Kafka as KafkaSettings
from schemas.feed import DeadLetter, DeadLetterLine
from tests.support.kafka_client import Cluster, Message


class Outside(Protocol):
    """One partition of input, and everything a transport writes."""

    settings: Settings

    def open(self) -> Transport:
        """A transport as a newly started daemon makes it."""
        ...

    def feed(self, values: Sequence[bytes]) -> None:
        """Appends records to the input."""
        ...

    def written(self, stream: Stream) -> list[bytes]:
        """The values that lie in a stream, in order."""
        ...

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Key, original value and coordinates of every dead letter."""
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

    def feed(self, values: Sequence[bytes]) -> None:
        """Appends lines."""
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


class KafkaOutside:
    """Topics of a real broker, with a group of their own."""

    def __init__(self, cluster: Cluster) -> None:
        word = cluster.unique("contract")
        names = {stream.value: f"{word}.{stream.value}" for stream in Stream}
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=cluster.bootstrap, group=word),
            topics=Topics(**names),
            limits=Limits(broker_wait_s=20),
        )
        self._cluster = cluster
        with Admin(self.settings.kafka, wait_s=10) as admin:
            admin.create(plan(self.settings, {}, partitions=1).values())

    def open(self) -> Transport:
        """A new member of the group."""
        return KafkaTransport(self.settings)

    def feed(self, values: Sequence[bytes]) -> None:
        """Produces records."""
        self._cluster.produce(self.settings.topics.input, [Message(value) for value in values])

    def written(self, stream: Stream) -> list[bytes]:
        """Values of a topic."""
        topic = getattr(self.settings.topics, stream.value)
        return [read.value or b"" for read in self._cluster.read_all(topic)]

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, DeadLetter]]:
        """Original records with coordinates in their headers."""
        reads = self._cluster.read_all(self.settings.topics.dead_letters)
        return [(read.key, read.value, read_dead_letter(read.headers)) for read in reads]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
