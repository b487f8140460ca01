"""The broker's topics outside the daemon: reading and sending, workers, looking at topics and making them."""

from collections.abc import Callable, Iterator, Sequence

from detector.core.ingest.rows import Record
from detector.errors import DataError
from detector.transports.interface import ControlRecord, Stream
from detector.transports.memory.broker import MemoryBroker, MemoryRecord, broker_at
from detector.transports.memory.group import Member
from detector.transports.package import CheckResult, Span, Status, TopicReport
from schemas.config import Settings

_WAIT_S = 0.5


def broker_of(settings: Settings) -> MemoryBroker:
    """The broker that a configuration names."""
    return broker_at(settings.kafka.bootstrap_servers)


def locate(settings: Settings, topic: str) -> str:
    """The topic and its broker, for a person."""
    return f"topic {topic} in memory at {settings.kafka.bootstrap_servers}"


def send(settings: Settings, value: bytes, key: bytes) -> None:
    """Stores a control message. Raises BrokerError where there is no such topic."""
    broker_of(settings).append(settings.topics.control, value, key)


def read_topic(settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
    """A topic's messages, partition by partition. Raises DataError where there is no such topic."""
    broker = broker_of(settings)
    positions = dict.fromkeys(range(_demand(broker, topic)), 0)
    while True:
        found = [record for number, offset in positions.items() for record in _from(broker, topic, number, offset)]
        positions |= {record.partition: record.offset + 1 for record in found}
        yield from (record.value for record in found if record.value is not None)
        if not follow:
            return
        broker.sleep(_WAIT_S)


def read_span(settings: Settings, span: Span) -> Iterator[Sequence[Record]]:
    """The input's records between two offsets, partition by partition; records have no times to cut by."""
    broker, topic = broker_of(settings), settings.topics.input
    for number in range(_demand(broker, topic)):
        records = _from(broker, topic, number, span.begin_offset or 0)
        if chunk := [record for record in records if span.end_offset is None or record.offset < span.end_offset]:
            yield chunk


def consume_control(settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
    """Messages of the control topic as one worker of the workers' group gets them."""
    broker, topic, member = broker_of(settings), settings.topics.control, Member()
    group = broker.group(f"{settings.kafka.group}-worker", topic)
    try:
        while True:
            idle()
            group.poll(member)
            for number in group.owned(member):
                for record in _from(broker, topic, number, group.committed.get(number, 0)):
                    if record.value is not None:
                        yield ControlRecord(record.value, f"{topic}/{number}/{record.offset}")
                    group.commit(member, {number: record.offset + 1})
            broker.sleep(_WAIT_S)
    finally:
        group.leave(member)


def preflight(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    """Whether the topics are there."""
    del wait_s
    broker = broker_of(settings)
    for stream in Stream:
        name = getattr(settings.topics, stream.value)
        if broker.partitions(name):
            yield CheckResult(Status.OK, f"topic {name}", f"{stream}, {broker.partitions(name)} partitions")
        else:
            yield CheckResult(Status.FAIL, f"topic {name}", f"the {stream} topic does not exist", "create it")


def admin(
    settings: Settings, *, create: bool, partitions: int | None, replication: int, wait_s: float
) -> list[TopicReport]:
    """The topics as they are or would be: control in one partition, the others as wide as the input."""
    del replication, wait_s
    broker = broker_of(settings)
    width = broker.partitions(settings.topics.input) or partitions or 1
    reports = []
    for stream in Stream:
        name = getattr(settings.topics, stream.value)
        there = broker.partitions(name)
        count = there or (1 if stream is Stream.CONTROL else width)
        if create:
            broker.create(name, count, compacted=stream is Stream.STATE)
        made = create and not there
        policy = {"cleanup.policy": "compact"} if stream is Stream.STATE else {}
        reports.append(TopicReport(stream, name, bool(there) or made, made, count, policy))
    return reports


def _from(broker: MemoryBroker, topic: str, partition: int, offset: int) -> list[MemoryRecord]:
    log = broker.log(topic, partition)
    return log.read(offset, len(log.records))


def _demand(broker: MemoryBroker, topic: str) -> int:
    """How many partitions a topic has, which must be there."""
    count = broker.partitions(topic)
    if not count:
        raise DataError(f"there is no topic {topic}", "make it, or correct its name")
    return count
