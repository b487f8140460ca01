"""What the loop relies on, promised alike by the embedded transport and by Apache Kafka."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector.core.ingest.rows import Record, Rejected
from detector.transports.control import parse_control, send_control
from detector.transports.interface import ControlRecord, Message, Stream, Transport
from detector.transports.messages import dead_letter_message
from schemas.control import RetrainRequest, Trigger
from schemas.feed import Reason
from tests.contract.harness import FilesOutside, KafkaOutside, Outside
from tests.support.kafka_client import Cluster


@pytest.fixture(params=["files", "kafka"])
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Outside:
    """Either outside; the broker is asked for only where it is needed."""
    if request.param == "files":
        return FilesOutside(tmp_path)
    cluster: Cluster = request.getfixturevalue("cluster")
    return KafkaOutside(cluster)


@contextmanager
def opened(outside: Outside) -> Iterator[Transport]:
    """A transport that is closed at the end."""
    transport = outside.open()
    try:
        yield transport
    finally:
        transport.close(5.0)


def begin(transport: Transport, offset: int | None = None) -> list[Record]:
    """Polls until the partition is assigned, restores and resumes it, as the loop does; gives early records."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        polled = transport.poll(0.2, 1000)
        if polled.assigned:
            assert polled.assigned == {0}
            transport.restore(0)
            transport.resume(0, offset)
            return list(polled.records)
        assert not polled.records, "records came before their partition"
    raise AssertionError("no partition was assigned within 30 s")


def take(transport: Transport, count: int, most: int = 1000) -> list[Record]:
    """Polls until `count` records came; fails after 30 s, or when a poll gives more than it may."""
    found: list[Record] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        polled = transport.poll(0.2, most)
        assert len(polled.records) <= most
        found += polled.records
    return found


def numbered(count: int, begin: int = 0) -> list[bytes]:
    """Values that name their offset."""
    return [b'{"n": %d}' % number for number in range(begin, begin + count)]


def test_records_come_once_in_order_with_their_coordinates(outside: Outside) -> None:
    """Everything fed before and after the start, offsets counting from 0, in polls no larger than asked."""
    outside.feed(numbered(50))
    with opened(outside) as transport:
        records = begin(transport) + take(transport, 50, most=7)
        outside.feed(numbered(25, 50))
        records += take(transport, 25, most=7)
        assert [record.value for record in records] == numbered(75)
        assert [record.offset for record in records] == list(range(75))
        assert {(record.topic, record.partition) for record in records} == {(transport.topic, 0)}


def test_an_empty_input_gives_the_time_back(outside: Outside) -> None:
    """A poll of nothing waits about its timeout and says that the input has not ended."""
    with opened(outside) as transport:
        begin(transport)
        begun = time.monotonic()
        polled = transport.poll(0.3, 10)
        assert not polled.records
        assert not polled.ended
        assert 0.2 < time.monotonic() - begun < 5


def test_a_partition_resumes_where_it_is_told(outside: Outside) -> None:
    """A checkpoint's offset counts, whatever lies before it."""
    outside.feed(numbered(40))
    with opened(outside) as transport:
        assert begin(transport, offset=30) == []
        assert [record.offset for record in take(transport, 10)] == list(range(30, 40))


def test_what_was_flushed_can_be_read_in_order(outside: Outside) -> None:
    """Messages of one key keep their order, and a restart appends."""
    expected = numbered(200)
    for part in (expected[:120], expected[120:]):
        with opened(outside) as transport:
            for value in part:
                transport.send(Message(Stream.ALERTS, value, b"pump-1"))
            transport.flush(10.0)
            written = outside.written(Stream.ALERTS)
            assert written == expected[: len(written)]
    assert outside.written(Stream.ALERTS) == expected


def test_a_dead_letter_keeps_the_original(outside: Outside) -> None:
    """Key, bytes and coordinates come back unchanged, whatever the bytes are."""
    original = b"\x00\xff not JSON \n at all"
    with opened(outside) as transport:
        record = Coordinates(transport.topic, 3, 17, original, b"\xfe")
        transport.send(dead_letter_message(Rejected(record, Reason.NOT_JSON, "malformed")))
        transport.flush(10.0)
    [(key, value, letter)] = outside.dead_letters()
    assert (key, value) == (b"\xfe", original)
    assert (letter.topic, letter.partition, letter.offset) == (record.topic, 3, 17)
    assert (letter.reason, letter.detail) == (Reason.NOT_JSON, "malformed")


def test_a_restart_finds_the_newest_state_of_each_key(outside: Outside) -> None:
    """Entries that were sent and committed are restored by the next process, the last one of a key."""
    outside.feed(numbered(10))
    for round_ in (b"first", b"second"):
        with opened(outside) as transport:
            begin(transport)
            transport.send(Message(Stream.STATE, round_, b"marker", partition=0))
            transport.send(Message(Stream.STATE, b"of " + round_, b"bucket-" + round_, partition=0))
            transport.flush(10.0)
            transport.commit({0: 10}, 10.0)
    with opened(outside) as transport:
        while not transport.poll(0.2, 10).assigned:
            pass
        entries = dict(transport.restore(0))
    assert entries == {b"marker": b"second", b"bucket-first": b"of first", b"bucket-second": b"of second"}


def test_a_partition_without_state_has_none(outside: Outside) -> None:
    """The first start restores nothing and does not wait for it."""
    with opened(outside) as transport:
        begun = time.monotonic()
        assert dict(transport.restore(0)) == {}
        assert time.monotonic() - begun < 10


def test_control_messages_come_once_and_only_new_ones(outside: Outside) -> None:
    """What was asked before the start stands in the store already; what comes after is given once, in order."""
    send_control(outside.settings, request("old"))
    with opened(outside) as transport:
        begin(transport)
        for word in ("one", "two"):
            send_control(outside.settings, request(word))
        found: list[ControlRecord] = []
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            found += transport.control()
            time.sleep(0.05)
        time.sleep(0.6)
        assert transport.control() == []
    messages = [parse_control(record.value) for record in found]
    assert messages == [request("one"), request("two")]


def test_closing_is_quick(outside: Outside) -> None:
    """A transport with nothing outstanding leaves within its budget."""
    transport = outside.open()
    begin(transport)
    begun = time.monotonic()
    transport.close(5.0)
    assert time.monotonic() - begun < 6


def request(word: str) -> RetrainRequest:
    """A control message that can be told apart."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    return RetrainRequest(id=word, model="pump", model_version=None, trigger=Trigger.PERSON, at=moment, reason=word)


class Coordinates:
    """A record that only a dead letter asks."""

    headers = ()
    timestamp = None

    def __init__(self, topic: str, partition: int, offset: int, value: bytes, key: bytes) -> None:
        self.topic, self.partition, self.offset, self.value, self.key = topic, partition, offset, value, key
