"""Reading a topic, or its file, from the beginning for a person: no consumer group, nothing committed."""

import time
from collections.abc import Iterator
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detector.errors import BrokerError, ConfigError, DataError
from detector.transports.kafka.admin import absent
from detector.transports.kafka.connection import PATIENCE_S, client_options
from detector.transports.kafka.diagnosis import missing_acl, unreachable
from schemas.config import Settings

_FILE_WAIT_S = 0.2  # a person does not see the difference, a disk does
_POLL_MS = 500


def read_topic(settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
    """Messages of one of our topics in the order it holds them, as bytes.

    follow: waits for more at the end, for ever; else it ends where the topic ended when it was opened. Raises
    BrokerError, ConfigError or DataError before the first message when there is nothing to read from.
    """
    if settings.transport == "kafka":
        return _read_kafka(settings, topic, follow)
    if topic == "-":
        raise ConfigError("this topic goes to standard output ('-'), where nobody can read it back", "name a file")
    return _read_file(settings.files.directory / f"{topic}.jsonl", follow)


def _read_file(path: Path, follow: bool) -> Iterator[bytes]:
    if not follow and not path.exists():
        raise DataError(f"there is no file {path}", "start the daemon first, or wait for it with --follow")
    position, rest = 0, b""
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:  # somebody began the file anew
            position, rest = 0, b""
        data = _from(path, position) if size > position else b""
        position += len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from filter(None, lines)
        if not follow and not data:
            return
        if not data:
            time.sleep(_FILE_WAIT_S)


def _from(path: Path, position: int, most: int = 1 << 20) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(most)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__})", "check its rights") from None


def _read_kafka(settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
    consumer = _consumer(settings)
    try:
        partitions = _partitions(consumer, settings, topic)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while follow or any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from (record.value for record in records if record.value is not None)
    except KafkaError as error:
        raise missing_acl(f"reading {topic}", error) or BrokerError(
            f"reading {topic} from {settings.kafka.bootstrap_servers} failed ({type(error).__name__})",
            "run: watchkeeper check",
        ) from None
    finally:
        consumer.close(autocommit=False)


def _consumer(settings: Settings) -> KafkaConsumer:
    try:
        return KafkaConsumer(
            **client_options(settings.kafka),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=int(PATIENCE_S * 1000),
        )
    except KafkaError:
        raise unreachable(settings.kafka, PATIENCE_S) from None


def _partitions(consumer: KafkaConsumer, settings: Settings, topic: str) -> list[TopicPartition]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise absent(settings.kafka, {topic: "Read"})
    return [TopicPartition(topic, number) for number in sorted(numbers)]
