"""Faults of the input topic: records gone before they were read, a batch that cannot be read, partitions added."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.reliability.faults import feed
from tests.reliability.faults.bench import Bench, Laid
from tests.reliability.faults.feed import Feed
from tests.reliability.faults.ledger import Account, Books, Place
from tests.reliability.faults.registry import fault

# Of a record batch: base offset, length after it, epoch, magic, CRC, attributes, last offset's distance from the base.
_HEAD = struct.Struct(">qiibIhi")
_BEFORE_LENGTH = 12


def _own(bench: Bench, word: str) -> Feed:
    """A feed of which nobody else needs the topic."""
    return replace(feed.steady(feed.SHORT), name=bench.name(word))


@fault("offset out of range: retention passed us by")
def retention(bench: Bench, guarantee: str) -> Account:
    """The oldest records of two partitions go while the daemon is away: a gap, counted and said, and nothing else."""
    return _with_a_gap(bench, guarantee, _delete, "retention")


@fault("corrupt batch")
def corrupt(bench: Bench, guarantee: str) -> Account:
    """A broken disk: a byte of two batches. Their records are a gap, counted and said; those between are watched."""
    return _with_a_gap(bench, guarantee, _break, "corrupt")


def _with_a_gap(
    bench: Bench, guarantee: str, spoil: Callable[[Bench, Laid, Mapping[int, int]], set[Place]], word: str
) -> Account:
    laid = bench.lay(_own(bench, word))
    truth = bench.truth(laid)
    with bench.plant(laid, guarantee, **bench.spread({})) as plant:
        plant.start()
        plant.works()
        plant.stop()
        stands = dict.fromkeys(laid.ends, 0) | bench.cluster.committed(plant.run, laid.topic)
        gone = spoil(bench, laid, stands)
        plant.start()
        plant.await_done()
        counted = plant.metric("gap_records_total")
        plant.finish()
        assert gone, "nothing was spoilt"
        gaps = {partition: min(offset for at, offset in gone if at == partition) for partition, _ in gone}
        account = plant.settle(elsewhere(truth, plant.books(), gaps), gone)
        assert counted == len(gone), f"{counted} records were counted as lost, {len(gone)} are"
        assert "records lost before they were read" in plant.log()
    return account


def elsewhere(truth: Books, books: Books, gaps: Mapping[int, int]) -> Books:
    """The truth, but for what follows a gap: no fault-free run can know that, for a window begins anew.

    gaps: harmed partition -> first offset that is gone. An incident that stood open before a gap keeps its id after it,
    and its later alerts say other things.
    """

    def holds(partition: int, offset: int) -> bool:
        return partition not in gaps or offset < gaps[partition]

    told = {key: value for key, value in books.alerts.items() if not holds(*_origin(value))}
    due = {key: value for key, value in truth.alerts.items() if holds(*_origin(value))}
    return Books(
        entries=books.entries | {place: entry for place, entry in truth.entries.items() if holds(*place)},
        alerts=told | due,
        state=books.state | {key: value for key, value in truth.state.items() if key[0] not in gaps},
        positions=truth.positions,
    )


def _origin(alert: bytes) -> Place:
    """Partition and last offset of the records that an alert is about."""
    origin = json.loads(alert)["data"]["origin"]
    return origin["partition"], origin["last_offset"]


def _delete(bench: Bench, laid: Laid, stands: Mapping[int, int]) -> set[Place]:
    keep = {partition: min(stands[partition] + 70, laid.ends[partition] - 100) for partition in (0, 1)}
    bench.cluster.delete_records(laid.topic, keep)
    return {(partition, offset) for partition, begin in keep.items() for offset in range(stands[partition], begin)}


def _break(bench: Bench, laid: Laid, stands: Mapping[int, int]) -> set[Place]:
    """Spoils the first batch that the daemon has not begun to read, and the one after the next: that is not theirs."""
    [segment] = Path(bench.broker.directory, "data", f"{laid.topic}-0").glob("*.log")
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
def partitions_added(bench: Bench, guarantee: str) -> Account:
    """Two partitions more, with records in them, while the daemon works: it finds them by itself."""
    whole = _own(bench, "grown")
    half = len(whole.messages) // 2
    later = tuple(
        message if number % 3 else replace(message, partition=whole.partitions + number % 2)
        for number, message in enumerate(whole.messages[half:])
    )
    laid = bench.lay(replace(whole, messages=whole.messages[:half]))
    with bench.plant(laid, guarantee, **bench.spread({})) as plant:
        plant.start()
        plant.works()
        # The state's first: a member that finds a partition wants a place for its state.
        for topic in (f"{plant.run}.state", laid.topic):
            bench.cluster.grow(topic, whole.partitions + 2)
        bench.cluster.produce(laid.topic, later)
        plant.ends = bench.cluster.ends(laid.topic)
        plant.finish()
        return plant.settle(bench.truth(replace(laid, ends=plant.ends)))
