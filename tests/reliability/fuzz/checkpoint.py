"""Checkpoints: restored as they were written, or refused with a ValueError; the watch goes on with what is restored."""

from random import Random

import msgspec
import numpy as np

from detector.core.ingest.fields import LATEST_S
from detector.core.ingest.rows import Rows
from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.state.codec import MARKER, bucket_key, bucket_of, decode_bucket
from detector.core.watch import Watch
from schemas.config import Alarms, Feed
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import msgpack_mutated
from tests.reliability.fuzz.usable import is_deep, run_rows, scorer_of
from tests.support.plant import START_S, FakeRecord, feed, manifest, plant, replay, settings

_ALARMS = Alarms(on_delay_s=1.0, silent_after_s=30.0)
_SETTINGS = (settings(alarms=_ALARMS), settings(alarms=_ALARMS, feed=Feed(form="long", lateness_s=2.0)))
_FACTS = tuple(
    manifest(window=window, version=version, sensors=sensors, stuck_rows=3, drift_rows=4)
    for window, version, sensors in ((3, "v1", 3), (3, "v2", 3), (5, "v3", 3), (3, "v4", 2))
)
_NOW_S = START_S + 1000.0


def one(data: bytes) -> bool:
    """Byte 0: form of the feed and model in use; bytes 1 and 2: length of the bucket; then bucket and marker."""
    head, bucket, marker = _parts(data)
    entries = {key: value for key, value in ((_key(bucket), bucket), (MARKER, marker)) if value}
    first = _FIRST[head % len(_FIRST)]
    try:
        offset = checkpoint.restore(first, 0, entries, START_S)
    except ValueError as error:
        assert_plain(str(error))
        return False
    finally:
        first.release(0)  # as in a rebalance: nothing of a refused checkpoint may be left
        assert not first.pipelines["m"].assets
    if offset is None:
        return False
    watch = _watch(head)
    assert checkpoint.restore(watch, 0, entries, START_S) == offset
    assert 0 <= offset < 2**63
    taken = entries | _taken(watch, offset)  # a changelog keeps what nobody writes anew
    again = _watch(head)
    assert checkpoint.restore(again, 0, taken, START_S) == offset
    assert taken | _taken(again, offset) == taken
    if is_deep(data):
        _go_on(watch)
        if head & 1:
            _take_records(watch, offset)
        later = taken | _taken(watch, offset)
        assert checkpoint.restore(_watch(head), 0, later, START_S) == offset
    return True


def _parts(data: bytes) -> tuple[int, bytes, bytes]:
    head, size, rest = data[:1] or b"\0", int.from_bytes(data[1:3], "little"), data[3:]
    return head[0], rest[:size], rest[size:]


def _join(head: int, bucket: bytes, marker: bytes) -> bytes:
    return bytes([head]) + len(bucket).to_bytes(2, "little") + bucket + marker


def _watch(head: int) -> Watch:
    facts = _FACTS[(head >> 1) % len(_FACTS)]
    return Watch(WatchSettings.of(_SETTINGS[head & 1]), {"m": scorer_of(facts)}, by_feed=True, topic="sensors")


# The first to see a checkpoint has seen all those before: making one is most of the time of a case that is refused.
_FIRST = [_watch(head) for head in range(2 * len(_FACTS))]


def _key(bucket: bytes) -> bytes:
    """The key under which the first asset's bucket would lie: a wrong one is refused before anything else is seen."""
    try:
        assets = decode_bucket(bucket).assets
    except ValueError:
        return bucket_key(0)
    return bucket_key(bucket_of(assets[0].asset) if assets else 0)


def _taken(watch: Watch, offset: int) -> dict[bytes, bytes]:
    for pipeline in watch.pipelines.values():
        pipeline.arrivals.dirty[pipeline.assets.of_partition(0)] = True
    return dict(checkpoint.snapshot(watch, 0, offset))


def _go_on(watch: Watch) -> None:
    """Rows of the assets that were restored, and then silence."""
    for pipeline in list(watch.pipelines.values()):
        for slot in pipeline.assets.of_partition(0):
            newest, offset_then = float(pipeline.arrivals.newest[slot]), int(pipeline.arrivals.next_offset[slot])
            begin_s = newest if np.isfinite(newest) else START_S
            if begin_s < LATEST_S - 100.0 and offset_then < 2**61:  # past the last record of all there is no next one
                run_rows(watch, "m", pipeline.assets.names[slot], offset_then, begin_s)
    nothing = Rows.none(watch.topic, watch.pipelines["m"].sensor_names)
    watch.process_rows(nothing, _NOW_S)  # only silence is judged


def _take_records(watch: Watch, offset: int) -> None:
    """Long records of an asset, some of which wait already."""
    time = 1_700_002_000
    lines = [b'{"asset":"a0","timestamp":%d,"s0":1,"sensor":"s0","value":2}' % (time + 10 * i) for i in range(3)]
    outcome = watch.process([FakeRecord(offset + i, line) for i, line in enumerate(lines)], _NOW_S)
    assert outcome.records == len(lines)
    assert not outcome.dead_letters


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One field of bucket or marker changed, or the same under another model or feed form."""
    head, bucket, marker = _parts(data)
    if rng.random() < 0.1:
        return _join(rng.randrange(8), bucket, marker)
    if rng.random() < 0.75:
        changed = msgpack_mutated(bucket, rng)
        return None if changed is None or len(changed) > 65_535 else _join(head, changed, marker)
    changed = msgpack_mutated(marker, rng)
    return None if changed is None else _join(head, bucket, changed)


def seeds() -> list[bytes]:
    """Checkpoints of the plant at several moments: quiet, in alarm, stuck, silent, with rows that wait."""
    found: list[bytes] = []
    for rows in (5, 70, 130, 180):
        watch = _watch(0)
        replay(watch, feed(plant(rows=rows, assets=2)), 50)
        *buckets, (_, marker) = _taken(watch, 2 * rows).items()
        found += [_join(head, bucket, marker) for _, bucket in buckets for head in (0, 2, 4, 6)]
    watch = _watch(1)
    lines = [
        b'{"asset":"a","timestamp":%d,"sensor":"s%d","value":%d}' % (1_700_000_000 + t, s, t)
        for t in range(9)
        for s in range(3)
    ]
    replay(watch, [FakeRecord(i, line) for i, line in enumerate(lines)], 5)
    *buckets, (_, marker) = _taken(watch, len(lines)).items()
    return found + [_join(1, bucket, marker) for _, bucket in buckets] + [msgspec.msgpack.encode({"version": 1})]


TARGET = Target(
    name="checkpoint",
    promise="a checkpoint is restored and gives the same snapshot again, or is refused with a ValueError",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b"\x80", b"\x90", b"\xc0", b"\xc4\x00", b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
        b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
        b"\xdf\xff\xff\xff\xff", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", b"\xa7version", b"\xa6assets", b"\xa9incidents", b"\x91" * 40,
    ),
    longest=2560,
)  # fmt: skip
