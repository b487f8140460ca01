"""A span of a Kafka topic as history: by time or by offset, without joining a group and without committing."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from detector.core.ingest.rows import Record
from detector.errors import BrokerError, ConfigError, DataError
from detector.transports.kafka.connection import client_options
from detector.transports.kafka.diagnosis import missing_acl, unreachable
from schemas.config import Settings
from trainer.data.history import History
from trainer.data.records import Gatherer

POLL_MS = 1000
QUIET_POLLS = 30  # so many empty polls before the end of the span: the broker does not deliver


@dataclass(frozen=True, slots=True)
class TopicSpan:
    """Which part of a topic. Times are the broker's record times, milliseconds; None is the topic's own edge."""

    begin_ms: int | None = None
    end_ms: int | None = None
    begin_offset: int | None = None
    end_offset: int | None = None  # exclusive

    def __str__(self) -> str:
        if self.begin_offset is not None or self.end_offset is not None:
            return f"offsets {self.begin_offset or 0} to {self.end_offset if self.end_offset is not None else 'end'}"
        begin, end = (_moment(ms) for ms in (self.begin_ms, self.end_ms))
        return f"{begin or 'its beginning'} to {end or 'its end'}"


def parse_span(text: str) -> TopicSpan:
    """`BEGIN..END`: two ISO 8601 times or two offsets; either side may be empty. Raises ConfigError."""
    begin, dots, end = text.partition("..")
    if not dots:
        raise ConfigError(f"--span {text!r} has no '..'", "write BEGIN..END with ISO 8601 times or offsets")
    if (begin + end).isdigit():
        return TopicSpan(begin_offset=int(begin) if begin else None, end_offset=int(end) if end else None)
    return TopicSpan(begin_ms=_milliseconds(begin), end_ms=_milliseconds(end))


def topic_history(
    settings: Settings, span: TopicSpan, sensors: Sequence[str] | None, period_s: float | None
) -> History:
    """The span's records as history. Blocks until the span is read. Raises BrokerError, DataError."""
    topic = settings.topics.input
    gatherer = Gatherer(f"topic {topic}, {span}", settings.feed, sensors, period_s)
    try:
        for records in read_span(settings, topic, span):
            gatherer.add(records)
    except KafkaTimeoutError:
        raise unreachable(settings.kafka, settings.limits.broker_wait_s) from None
    except KafkaError as error:
        raise missing_acl(f"reading {topic}", error) or BrokerError(
            f"topic {topic} cannot be read from {settings.kafka.bootstrap_servers} ({type(error).__name__})",
            "check that the broker is up and kafka.bootstrap_servers names it",
        ) from None
    return gatherer.history()


def read_span(settings: Settings, topic: str, span: TopicSpan) -> Iterator[list[Record]]:
    """The records of a span, in chunks, partition by partition in the order the broker gives them."""
    options = client_options(settings.kafka)
    consumer = KafkaConsumer(
        **options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
        max_poll_records=settings.limits.poll_records, isolation_level="read_committed",
        allow_auto_create_topics=False, bootstrap_timeout_ms=int(settings.limits.broker_wait_s * 1000),
    )  # fmt: skip
    with closing(consumer):
        found = consumer.partitions_for_topic(topic)
        if not found:
            raise DataError(f"there is no topic {topic!r}", "run 'watchkeeper topics create', or set topics.input")
        partitions = [TopicPartition(topic, number) for number in sorted(found)]
        ends = _begin(consumer, partitions, span)
        quiet = 0
        while left := [p for p in ends if consumer.position(p) < ends[p]]:
            consumer.pause(*[p for p in ends if p not in left])
            polled = consumer.poll(timeout_ms=POLL_MS)
            quiet = 0 if polled else quiet + 1
            if quiet >= QUIET_POLLS:
                raise BrokerError(
                    f"topic {topic} gave nothing for {quiet} s before the end of the span", "check the broker's health"
                )
            for partition, records in polled.items():
                if chunk := [record for record in records if record.offset < ends[partition]]:
                    yield chunk


def _begin(consumer: KafkaConsumer, partitions: list[TopicPartition], span: TopicSpan) -> dict[TopicPartition, int]:
    """Seeks to the begin of the span and gives each partition's end offset."""
    consumer.assign(partitions)
    first, last = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    begins = _at_time(consumer, partitions, span.begin_ms, last) if span.begin_ms is not None else dict(first)
    ends = _at_time(consumer, partitions, span.end_ms, last) if span.end_ms is not None else dict(last)
    for partition in partitions:
        begin, end = begins[partition], ends[partition]
        if span.begin_offset is not None:
            begin = max(first[partition], span.begin_offset)
        if span.end_offset is not None:
            end = min(last[partition], span.end_offset)
        consumer.seek(partition, min(begin, last[partition]))
        ends[partition] = end
    return ends


def _at_time(
    consumer: KafkaConsumer, partitions: list[TopicPartition], ms: int, last: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The first offset at or after a time; the partition's end where there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, ms))
    return {p: found[p].offset if found.get(p) is not None else last[p] for p in partitions}


def _milliseconds(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--span: {text!r} is no ISO 8601 time", "write for example 2026-01-31T12:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _moment(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
