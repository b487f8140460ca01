"""Reading topics without a group: from the beginning for a person, or a span as history. Nothing is committed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detector.core.ingest.rows import Record
from detector.errors import BrokerError, DataError
from detector.transports.kafka.admin import absent
from detector.transports.kafka.clients import Clients, explained
from detector.transports.kafka.connection import PATIENCE_S
from detector.transports.kafka.diagnosis import known_cause
from detector.transports.package import Span
from schemas.config import Settings

_POLL_MS = 500
_SPAN_POLL_MS = 1000
_QUIET_POLLS = 30  # empty polls before the end of a span: the broker does not deliver

Offsets = dict[TopicPartition, int]


def locate(settings: Settings, topic: str) -> str:
    """The topic and its broker, for a person."""
    return f"topic {topic} at {settings.kafka.bootstrap_servers}"


def read_topic(settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
    """A topic's messages, partition by partition in their order."""
    with _reader(settings, topic, PATIENCE_S) as reader:
        if not reader.partitions_for_topic(topic):
            raise absent(settings.kafka, {topic: "Read"})
        partitions = _partitions(reader, topic)
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(partitions)
        while follow or any(reader.position(partition) < ends[partition] for partition in partitions):
            for records in reader.poll(timeout_ms=_POLL_MS).values():
                yield from (record.value for record in records if record.value is not None)


def read_span(settings: Settings, span: Span) -> Iterator[Sequence[Record]]:
    """The input's records of a span, in chunks, partition by partition in the order the broker gives them."""
    topic = settings.topics.input
    with _reader(settings, topic, settings.limits.broker_wait_s) as reader:
        partitions = _partitions(reader, topic)
        if not partitions:
            raise DataError(f"there is no topic {topic!r}", "run 'watchkeeper topics --create', or set topics.input")
        ends = _go_to_begin(reader, partitions, span)
        quiet = 0
        while left := [p for p in ends if reader.position(p) < ends[p]]:
            reader.pause(*[p for p in ends if p not in left])
            polled = reader.poll(timeout_ms=_SPAN_POLL_MS)
            quiet = 0 if polled else quiet + 1
            if quiet >= _QUIET_POLLS:
                raise BrokerError(
                    f"topic {topic} gave nothing for {quiet} s before the end of the span", "check the broker's health"
                )
            for partition, records in polled.items():
                if chunk := [record for record in records if record.offset < ends[partition]]:
                    yield chunk


@contextmanager
def _reader(settings: Settings, topic: str, wait_s: float) -> Iterator[KafkaConsumer]:
    """A reader whose errors are said in one line."""
    clients = Clients(settings, "reader")
    with explained(settings.kafka, wait_s):
        reader = clients.reader(wait_s, poll_records=settings.limits.poll_records)
    try:
        yield reader
    except KafkaError as error:
        raise known_cause(f"reading {topic}", error) or BrokerError(
            f"reading {topic} from {settings.kafka.bootstrap_servers} failed ({type(error).__name__})",
            "run: watchkeeper check",
        ) from None
    finally:
        reader.close(autocommit=False)


def _partitions(reader: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]


def _go_to_begin(reader: KafkaConsumer, partitions: list[TopicPartition], span: Span) -> Offsets:
    """Seeks to the begin of the span and gives each partition's end offset."""
    reader.assign(partitions)
    first, last = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    begins = _at_time(reader, partitions, span.begin_ms, last) if span.begin_ms is not None else dict(first)
    ends = _at_time(reader, partitions, span.end_ms, last) if span.end_ms is not None else dict(last)
    for partition in partitions:
        begin, end = begins[partition], ends[partition]
        if span.begin_offset is not None:
            begin = max(first[partition], span.begin_offset)
        if span.end_offset is not None:
            end = min(last[partition], span.end_offset)
        reader.seek(partition, min(begin, last[partition]))
        ends[partition] = end
    return ends


def _at_time(reader: KafkaConsumer, partitions: list[TopicPartition], ms: int, last: Offsets) -> Offsets:
    """The first offset at or after a time; the partition's end where there is none."""
    found = reader.offsets_for_times(dict.fromkeys(partitions, ms))
    return {p: found[p].offset if found.get(p) is not None else last[p] for p in partitions}
