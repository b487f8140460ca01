"""Faults of the input topic: records gone before they were read, a batch that cannot be read, partitions added."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.reliability.faults import feed
from tests.reliability.faults.feed import FaultFeed
from tests.reliability.faults.ledger import Place, Reconciliation, RunOutputs
from tests.reliability.faults.registry import fault
from tests.reliability.faults.testbed import FaultTestbed, FeedTopic

# Of a record batch: base offset, length after it, epoch, magic, CRC, attributes, last offset's distance from the base.
_HEAD = struct.Struct(">qiibIhi")
_BEFORE_LENGTH = 12


def _own(testbed: FaultTestbed, word: str) -> FaultFeed:
    """A feed of which nobody else needs the topic."""
    return replace(feed.steady(feed.SHORT), name=testbed.name(word))


@fault("offset out of range: retention passed us by")
def retention(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
    """The oldest records of two partitions go while the daemon is away: a gap, counted and said, and nothing else."""
    return _with_a_gap(testbed, guarantee, _delete, "retention")


@fault("corrupt batch")
def corrupt(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
    """A broken disk: a byte of two batches. Their records are a gap, counted and said; those between are watched."""
    return _with_a_gap(testbed, guarantee, _break, "corrupt")


def _with_a_gap(
    testbed: FaultTestbed,
    guarantee: str,
    bad_feed_fault: Callable[[FaultTestbed, FeedTopic, Mapping[int, int]], set[Place]],
    word: str,
) -> Reconciliation:
    feed_topic = testbed.publish(_own(testbed, word))
    baseline = testbed.baseline(feed_topic)
    with testbed.daemons(feed_topic, guarantee, **testbed.spread({})) as daemons:
        daemons.start()
        daemons.works()
        daemons.stop()
        stands = dict.fromkeys(feed_topic.ends, 0) | testbed.cluster.committed(daemons.run, feed_topic.topic)
        gone = bad_feed_fault(testbed, feed_topic, stands)
        daemons.start()
        daemons.await_done()
        counted = daemons.metric("gap_records_total")
        daemons.finish()
        assert gone, "nothing was bad_feed"
        gaps = {partition: min(offset for at, offset in gone if at == partition) for partition, _ in gone}
        reconciliation = daemons.reconcile(elsewhere(baseline, daemons.outputs(), gaps), gone)
        assert counted == len(gone), f"{counted} records were counted as lost, {len(gone)} are"
        assert "records lost before they were read" in daemons.log()
    return reconciliation


def elsewhere(baseline: RunOutputs, outputs: RunOutputs, gaps: Mapping[int, int]) -> RunOutputs:
    """The baseline, but for what follows a gap: no fault-free run can know that, for a window begins anew.

    gaps: harmed partition -> first offset that is gone. An incident that stood open before a gap keeps its id after it,
    and its later alerts say other things.
    """

    def holds(partition: int, offset: int) -> bool:
        return partition not in gaps or offset < gaps[partition]

    told = {key: value for key, value in outputs.alerts.items() if not holds(*_origin(value))}
    due = {key: value for key, value in baseline.alerts.items() if holds(*_origin(value))}
    return RunOutputs(
        entries=outputs.entries | {place: entry for place, entry in baseline.entries.items() if holds(*place)},
        alerts=told | due,
        state=outputs.state | {key: value for key, value in baseline.state.items() if key[0] not in gaps},
        positions=baseline.positions,
    )


def _origin(alert: bytes) -> Place:
    """Partition and last offset of the records that an alert is about."""
    origin = json.loads(alert)["data"]["origin"]
    return origin["partition"], origin["last_offset"]


def _delete(testbed: FaultTestbed, feed_topic: FeedTopic, stands: Mapping[int, int]) -> set[Place]:
    keep = {partition: min(stands[partition] + 70, feed_topic.ends[partition] - 100) for partition in (0, 1)}
    testbed.cluster.delete_records(feed_topic.topic, keep)
    return {(partition, offset) for partition, begin in keep.items() for offset in range(stands[partition], begin)}


def _break(testbed: FaultTestbed, feed_topic: FeedTopic, stands: Mapping[int, int]) -> set[Place]:
    """Spoils the first batch that the daemon has not begun to read, and the one after the next: that is not theirs."""
    [segment] = Path(testbed.broker.directory, "data", f"{feed_topic.topic}-0").glob("*.log")
    data = segment.read_bytes()
    left = [batch for batch in _batches(data) if batch.base >= stands[0]]
    for batch in left[:3:2]:
        with segment.open("r+b") as file:
            file.seek(batch.end - 1)
            file.write(bytes([data[batch.end - 1] ^ 0xFF]))
    return {(0, batch.base + number) for batch in left[:3:2] for number in range(batch.records)}


class _Batch(NamedTuple):
    base: int  # offset of its first record
    records: int
    end: int  # byte after it in the file


def _batches(data: bytes) -> Iterator[_Batch]:
    end = 0
    while end < len(data):
        base, length, *_, distance = _HEAD.unpack_from(data, end)
        end += _BEFORE_LENGTH + length
        yield _Batch(base, distance + 1, end)


@fault("partitions added under load")
def partitions_added(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
    """Two partitions more, with records in them, while the daemon works: it finds them by itself."""
    whole = _own(testbed, "grown")
    half = len(whole.messages) // 2
    later = tuple(
        message if number % 3 else replace(message, partition=whole.partitions + number % 2)
        for number, message in enumerate(whole.messages[half:])
    )
    feed_topic = testbed.publish(replace(whole, messages=whole.messages[:half]))
    with testbed.daemons(feed_topic, guarantee, **testbed.spread({})) as daemons:
        daemons.start()
        daemons.works()
        # The state's first: a member that finds a partition wants a place for its state.
        for topic in (f"{daemons.run}.state", feed_topic.topic):
            testbed.cluster.grow(topic, whole.partitions + 2)
        testbed.cluster.produce(feed_topic.topic, later)
        daemons.ends = testbed.cluster.ends(feed_topic.topic)
        daemons.finish()
        return daemons.reconcile(testbed.baseline(replace(feed_topic, ends=daemons.ends)))
