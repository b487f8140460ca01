"""Whose state lies in a state topic, without reading all of it: a checkpoint's marker comes last."""

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detector.core.state.codec import MARKER, Owner, decode_marker
from detector.transports.kafka.admin import TopicFacts
from detector.transports.kafka.clients import Clients, explained
from detector.transports.kafka.connection import PATIENCE_S
from detector.transports.kafka.diagnosis import translate_error
from schemas.config import Settings

_LAST = 100  # messages of a partition that are looked at; a transaction's end counts as one
_POLL_MS = 200


def owner_of(settings: Settings, found: Mapping[str, TopicFacts]) -> Owner:
    """Whose state this configuration's is. found: what the broker says of the topics."""
    feed = found.get(settings.topics.input)
    return Owner(settings.kafka.group, settings.topics.input, feed.topic_id if feed else "")


def newest_owner(settings: Settings, partitions: int) -> Owner | None:
    """Who wrote the newest marker that the ends of the state topic's partitions hold; None where there is none.

    Blocks. Raises BrokerError.
    """
    with explained(settings.kafka, PATIENCE_S):
        reader = Clients(settings, "check").reader(PATIENCE_S)
    try:
        return _newest([TopicPartition(settings.topics.state, number) for number in range(partitions)], reader)
    except KafkaError as error:
        raise translate_error(f"reading {settings.topics.state}", error) from error
    finally:
        reader.close(autocommit=False)


def _newest(partitions: list[TopicPartition], reader: KafkaConsumer) -> Owner | None:
    reader.assign(partitions)
    begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    for partition in partitions:
        reader.seek(partition, max(begins[partition], ends[partition] - _LAST))
    found: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and any(reader.position(p) < ends[p] for p in partitions):
        for records in reader.poll(timeout_ms=_POLL_MS).values():
            found += [(record.timestamp, record.value) for record in records if record.key == MARKER and record.value]
    owners = [owner for _, value in sorted(found, reverse=True) if (owner := _owner(value)) is not None]
    return next(iter(owners), None)


def _owner(value: bytes) -> Owner | None:
    """A marker that cannot be read is the daemon's business: it says so when it starts."""
    try:
        return decode_marker(value).owner
    except ValueError:
        return None
