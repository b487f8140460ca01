"""What the loop relies on, promised alike by every transport: files, memory and Apache Kafka."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from _pytest.mark import ParameterSet

from detector.core.ingest.rows import Record, Rejected
from detector.errors import RetriableError
from detector.transports.control import parse_control, send_control
from detector.transports.interface import ControlRecord, Message, Polled, Stream, Transport
from detector.transports.messages import dead_letter_message
from detector.transports.registry import TRANSPORTS
from schemas.control import RetrainRequest, Trigger
from schemas.feed import Reason
from tests.contract.harness import (
    CAPABILITIES,
    BrokerOutside,
    Capability,
    Delivery,
    FilesOutside,
    KafkaOutside,
    MemoryOutside,
    Outside,
    able,
)


def marked(*wanted: Capability) -> list[ParameterSet]:
    """The able transports as parameters, Kafka with its mark."""
    return [pytest.param(name, marks=[pytest.mark.kafka] if name == "kafka" else []) for name in able(*wanted)]


def make(name: str, request: pytest.FixtureRequest, partitions: int, delivery: Delivery) -> Outside:
    """An outside; the broker is asked for only where it is needed."""
    if name == "files":
        return FilesOutside(request.getfixturevalue("tmp_path"))
    if name == "memory":
        return MemoryOutside(partitions, delivery)
    return KafkaOutside(
        request.getfixturevalue("cluster"), request.getfixturevalue("broker"), partitions=partitions, delivery=delivery
    )


@pytest.fixture(params=marked())
def outside(request: pytest.FixtureRequest) -> Outside:
    """Every transport, with one partition."""
    return make(request.param, request, 1, "at_least_once")


@pytest.fixture(params=marked(Capability.GROUP))
def shared(request: pytest.FixtureRequest) -> BrokerOutside:
    """Two partitions that several members may share."""
    return cast("BrokerOutside", make(request.param, request, 2, "at_least_once"))


@pytest.fixture(params=marked(Capability.RETENTION, Capability.RETRY))
def failing(request: pytest.FixtureRequest) -> BrokerOutside:
    """One partition at a broker that loses records and goes away."""
    return cast("BrokerOutside", make(request.param, request, 1, "at_least_once"))


@pytest.fixture(params=marked(Capability.TRANSACTIONS))
def transactional(request: pytest.FixtureRequest) -> BrokerOutside:
    """One partition, delivered exactly once."""
    return cast("BrokerOutside", make(request.param, request, 1, "exactly_once"))


@contextmanager
def opened(outside: Outside) -> Iterator[Transport]:
    """A transport that is closed at the end."""
    transport = outside.open()
    try:
        yield transport
    finally:
        transport.close(5.0)


def begin(transport: Transport, offset: int | None = None, partitions: int = 1) -> list[Record]:
    """Polls until the partitions are assigned, restores and resumes them, as the loop does; gives early records."""
    assigned: set[int] = set()
    records: list[Record] = []
    for polled in polls(transport):
        assert assigned or polled.assigned or not polled.records, "records came before their partition"
        for partition in polled.assigned:
            transport.restore(partition)
            transport.resume(partition, offset)
        assigned |= polled.assigned
        records += polled.records
        if len(assigned) == partitions:
            assert assigned == set(range(partitions))
            return records
    raise AssertionError(f"{partitions} partitions were not assigned within 30 s, only {assigned}")


def polls(*transports: Transport) -> Iterator[Polled]:
    """Polls of some transports in turn, for 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for transport in transports:
            yield transport.poll(0.2, 1000)


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


def test_what_each_transport_has_a_notion_of() -> None:
    """The promises below are asked of memory and Kafka; files have one reader of one partition, and say so here."""
    assert CAPABILITIES.keys() == TRANSPORTS.keys()
    assert {"files": frozenset(), "memory": frozenset(Capability), "kafka": frozenset(Capability)} == CAPABILITIES


def test_a_file_takes_nothing_away(tmp_path: Path) -> None:
    """Without a group the one partition comes once, and is neither revoked nor lost; recover changes nothing."""
    outside = FilesOutside(tmp_path)
    outside.feed(numbered(3))
    with opened(outside) as transport:
        changes = [transport.poll(0.0, 10) for _ in range(5)]
        assert [polled.assigned for polled in changes] == [{0}, set(), set(), set(), set()]
        assert not any(polled.revoked or polled.lost or polled.gaps for polled in changes)
        transport.send(Message(Stream.ALERTS, b"{}"))
        transport.recover()
    assert outside.written(Stream.ALERTS) == [b"{}"]


def test_a_revoked_partition_is_ours_until_the_next_poll(shared: BrokerOutside) -> None:
    """Its state can be written and its offset committed; the next owner goes on there, and the other one stays."""
    for partition in (0, 1):
        shared.feed(numbered(10), partition)
    with opened(shared) as old:
        records = begin(old, partitions=2)
        assert len(records + take(old, 20 - len(records))) == 20
        with opened(shared) as new:
            [moved] = next(theirs.revoked for theirs, _ in rounds(shared, old, new) if theirs.revoked)
            old.send(Message(Stream.STATE, b"as far as 7", b"marker", partition=moved))
            old.flush(10.0)
            old.commit({moved: 7}, 10.0)
            assert next(ours.assigned for _, ours in rounds(shared, old, new) if ours.assigned) == {moved}
            assert new.restore(moved)[b"marker"] == b"as far as 7"
            assert new.resume(moved, None) == 7
            shared.feed(numbered(1, 10), 1 - moved)
            found: list[tuple[int, int]] = []
            for polled in rounds(shared, old, new):
                found += [(record.partition, record.offset) for one in polled for record in one.records]
                if len(found) == 4:
                    break
            assert sorted(found) == sorted([(moved, 7), (moved, 8), (moved, 9), (1 - moved, 10)])


def rounds(shared: BrokerOutside, *transports: Transport) -> Iterator[list[Polled]]:
    """Rounds of polls of all members, for 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        yield shared.poll_all(*transports)


def test_a_member_that_was_thrown_out_has_lost_its_partitions(shared: BrokerOutside) -> None:
    """What it commits late counts no more; it is told so, joins anew, and goes on from what was committed before."""
    for partition in (0, 1):
        shared.feed(numbered(10), partition)
    with opened(shared) as transport:
        records = begin(transport, partitions=2)
        take(transport, 20 - len(records))
        transport.commit({0: 4, 1: 4}, 10.0)
        shared.evict(transport)
        transport.commit({0: 9, 1: 9}, 10.0)
        lost: set[int] = set()
        again: set[int] = set()
        for polled in polls(transport):
            assert not polled.records
            lost |= polled.lost
            again |= polled.assigned
            if again == {0, 1}:
                break
        assert lost == {0, 1}
        assert [transport.resume(partition, None) for partition in (0, 1)] == [4, 4]
        assert len(take(transport, 12)) == 12


def test_records_that_retention_took_are_a_gap(failing: BrokerOutside) -> None:
    """The offsets that nobody will ever read are named once, and reading goes on behind them."""
    failing.feed(numbered(50))
    with opened(failing) as transport:
        begin(transport, offset=5)
        failing.delete_before(20)
        gaps: list[dict[int, tuple[int, int]]] = []
        records: list[Record] = []
        for polled in polls(transport):
            gaps += [dict(polled.gaps)] if polled.gaps else []
            records += polled.records
            if len(records) >= 30:
                break
        assert gaps == [{0: (5, 20)}]
        assert [record.offset for record in records] == list(range(20, 50))


def test_a_flush_that_is_not_confirmed_says_so_and_work_begins_again(failing: BrokerOutside) -> None:
    """RetriableError; after recover nothing unconfirmed is sent any more, and the records since the commit come."""
    failing.feed(numbered(10))
    with opened(failing) as transport:
        early = begin(transport)
        take(transport, 10 - len(early))
        transport.send(Message(Stream.ALERTS, b"one"))
        transport.flush(10.0)
        transport.commit({0: 4}, 10.0)
        with failing.away():
            transport.send(Message(Stream.ALERTS, b"unconfirmed"))
            with pytest.raises(RetriableError):
                transport.flush(0.5)
        transport.recover()
        transport.restore(0)
        assert transport.resume(0, None) == 4
        assert [record.offset for record in take(transport, 6)] == list(range(4, 10))
        transport.flush(0.1)
        transport.send(Message(Stream.ALERTS, b"two"))
        transport.flush(10.0)
    written = failing.written(Stream.ALERTS)
    # It may have arrived before the broker fell silent: nobody knows, and its id makes it harmless.
    assert written.count(b"unconfirmed") <= 1
    assert [value for value in written if value != b"unconfirmed"] == [b"one", b"two"]


def test_a_transaction_is_seen_whole_or_not_at_all(transactional: BrokerOutside) -> None:
    """What was flushed shows with the commit of its offsets; what recover found uncommitted never does."""
    transactional.feed(numbered(10))
    with opened(transactional) as transport:
        begin(transport)
        transport.send(Message(Stream.ALERTS, b"one"))
        transport.flush(10.0)
        assert transactional.written(Stream.ALERTS) == []
        transport.commit({0: 5}, 10.0)
        assert transactional.written(Stream.ALERTS) == [b"one"]
        transport.send(Message(Stream.ALERTS, b"dropped"))
        transport.flush(10.0)
        transport.recover()
        assert transport.resume(0, None) == 5
        transport.send(Message(Stream.ALERTS, b"two"))
        transport.flush(10.0)
        transport.commit({0: 10}, 10.0)
    assert transactional.written(Stream.ALERTS) == [b"one", b"two"]


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
