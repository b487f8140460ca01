"""State that no feed can have left is refused before it can shut an asset out or stop the daemon later."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from detector.core.quality import QualityMonitor
from detector.core.state import checkpoint
from detector.core.state.codec import (
    MARKER,
    STATE_VERSION,
    Marker,
    bucket_key,
    bucket_of,
    encode,
)
from detector.core.watch import Watch
from schemas.alert import AlertState, CloseReason
from schemas.config import Feed
from schemas.manifest import Sensor
from tests.support.plant import FakeRecord, FakeScorer, feed, manifest, plant, replay, settings, watch

Document = dict[str, Any]
LONG = settings(feed=Feed(form="long", lateness_s=2.0))


def _checkpoint() -> dict[bytes, bytes]:
    """A checkpoint with an asset, a0, that has an open process incident."""
    over = watch()
    replay(over, feed(plant(rows=70, assets=2)), 40)
    assert over.pipelines["m"].process_alarms.incidents
    return dict(checkpoint.snapshot(over, 0, 140))


def _long(offset: int, time_s: int, sensor: str) -> FakeRecord:
    return FakeRecord(offset, b'{"asset":"a","timestamp":%d,"sensor":"%s","value":1}' % (time_s, sensor.encode()))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update(next_offset=-1),
        lambda a: a.update(next_offset=2**64 - 1),
        lambda a: a.update(newest=float("nan")),
        lambda a: a.update(newest=1e300),
        lambda a: a.update(run=-1),
        lambda a: a.update(late=2**40),
        lambda a: a.update(history=a["history"][:12]),  # numpy would spread one row over the whole window
        lambda a: a.update(last=a["last"][:4]),
        lambda a: a.update(runs=b"\xff" * len(a["runs"])),
        lambda a: a.update(history=b"\x00\x00\x80\x7f" * 9),  # infinity
        lambda a: a.update(vector=np.full(3, np.nan).tobytes()),  # the asset would never be scored again
        lambda a: a.update(vector=np.full(3, 1e300).tobytes()),
        lambda a: a.update(level=float("inf")),
        lambda a: a.update(drift=np.full(12, np.nan).tobytes()),
        lambda a: a.update(drift=a["drift"][:-8]),
        lambda a: a["incidents"][0].update(start_s="noon"),
        lambda a: a["incidents"][0].update(start_s=1e30),
        lambda a: a["incidents"][0].update(peak=float("nan")),
        lambda a: a["incidents"][0].update(first_offset=-9),
        lambda a: a["incidents"][0].update(phase=4),  # closed: no row could move it
        lambda a: a["incidents"][0].update(kind="quality"),
        lambda a: a["incidents"][0].update(sensor="s0"),
        lambda a: a["incidents"][0].update(kind="quality", condition="stuck", sensor="s0", phase=1),
        lambda a: a["incidents"][0].update(evidence=5),
        lambda a: a["incidents"][0].update(evidence=[{"sensor": 5}]),
        lambda a: a["incidents"][0].pop("id"),
    ],
)
def test_an_impossible_memory_is_refused_in_one_line(change: Callable[[Document], object]) -> None:
    """Wrong types, lengths and signs, values that no float32 feed can give, incidents that never rest so."""
    entries, key = _checkpoint(), bucket_key(bucket_of("a0"))
    bucket = msgspec.msgpack.decode(entries[key])
    change(bucket["assets"][0])
    with pytest.raises(ValueError, match="checkpoint") as caught:
        checkpoint.restore(watch(), 0, {**entries, key: msgspec.msgpack.encode(bucket)}, 0.0)
    assert str(caught.value).isprintable()


def test_an_asset_twice_is_refused() -> None:
    """Whichever memory stayed, it would be a guess."""
    entries, key = _checkpoint(), bucket_key(bucket_of("a0"))
    bucket = msgspec.msgpack.decode(entries[key])
    bucket["assets"] += bucket["assets"][:1]
    with pytest.raises(ValueError, match="an asset twice"):
        checkpoint.restore(watch(), 0, {**entries, key: msgspec.msgpack.encode(bucket)}, 0.0)


def _waiting(over: Watch) -> list[dict[int, float]]:
    """The cells of the rows that wait."""
    pipeline = over.pipelines["m"]
    assert pipeline.assembler is not None
    columns = pipeline.assembler.dump(np.array(sorted(pipeline.assets.index.values()), np.int64))
    return [row.cells for waiting in columns["waiting"] if waiting for row in waiting.rows]


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.update(newest=1e300),  # every value would be late for ever
        lambda w: w.update(open_from=2**40),
        lambda w: w.update(period_s=0.0),
        lambda w: w.update(late_rows=-1),
        lambda w: w["rows"][0].__setitem__(0, 2**60),
        lambda w: w["rows"][0].__setitem__(1, -1),
        lambda w: w["rows"][0][2].update({9: 1.0}),
        lambda w: w["rows"][0][2].update({0: 1e300}),
        lambda w: w["rows"].append(w["rows"][0]),
    ],
)
def test_impossible_waiting_rows_are_refused(change: Callable[[Document], object]) -> None:
    """Cells, offsets and times of an asset's rows that wait have bounds."""
    over, key = watch(LONG), bucket_key(bucket_of("a"))
    replay(over, [_long(0, 1_700_000_000, "s1")], 1)
    entries = dict(checkpoint.snapshot(over, 0, 1))
    bucket = msgspec.msgpack.decode(entries[key], strict=False)
    change(bucket["assets"][0]["waiting"])
    with pytest.raises(ValueError, match="checkpoint"):
        checkpoint.restore(watch(LONG), 0, {**entries, key: msgspec.msgpack.encode(bucket)}, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(next_offset=-5),
        lambda m: m.update(partition=1),
        lambda m: m.update(drift_asked={"m": float("nan")}),  # the cooldown would never hold again
        lambda m: m.update(watermark=1e300),  # every record would be late for ever
        lambda m: m["waiting"][0][3].update({9: 1.0}),
        lambda m: m["waiting"][0][3].update({0: 1e300}),
        lambda m: m["waiting"][0].__setitem__(1, 2**60),
    ],
)
def test_an_impossible_marker_is_refused(change: Callable[[Document], object]) -> None:
    """Offsets, times and the cells of rows that waited in markers once have bounds too."""
    waiting = [("a", 1_700_000_000, 0, {1: 1.0})]
    marker = msgspec.msgpack.decode(encode(Marker(2, 0, 1, waiting=waiting, watermark=1.7e9)), strict=False)
    change(marker)
    with pytest.raises(ValueError, match="checkpoint"):
        checkpoint.restore(watch(LONG), 0, {MARKER: msgspec.msgpack.encode(marker)}, 0.0)


def test_a_bucket_of_another_partition_is_refused() -> None:
    """Its offsets count the records of another partition: records would be passed over that nobody has seen."""
    entries = _checkpoint()
    entries[MARKER] = encode(Marker(STATE_VERSION, 3, 140))
    with pytest.raises(ValueError, match="partition 0"):
        checkpoint.restore(watch(), 3, entries, 0.0)


def test_the_watermark_that_an_earlier_program_left_at_a_files_end_counts_as_none() -> None:
    """It was infinite: whoever has such a state file goes on, and the file's next lines are not late."""
    marker = Marker(STATE_VERSION, 0, 5, watermark=np.inf)
    fresh = watch(LONG)
    assert checkpoint.restore(fresh, 0, {MARKER: encode(marker)}, 0.0) == 5
    assert not _waiting(fresh)


def test_an_asset_in_a_bucket_that_is_not_its_own_is_refused() -> None:
    """A bucket says below which offset its assets' records are in it already."""
    entries = _checkpoint()
    entries[bucket_key(7)] = entries.pop(bucket_key(bucket_of("a0")))
    with pytest.raises(ValueError, match="not its own"):
        checkpoint.restore(watch(), 0, entries, 0.0)


def test_values_that_wait_stay_those_of_their_sensors() -> None:
    """Under a model of other sensors they are in the column of their own, or gone with it."""
    over = watch(LONG)
    replay(over, [_long(0, 1_700_000_000, "s2")], 1)
    entries = dict(checkpoint.snapshot(over, 0, 1))
    for sensors in (2, 4):
        other = watch(LONG, manifest(sensors=sensors))
        assert checkpoint.restore(other, 0, entries, 0.0) == 1
        assert _waiting(other) == ([{2: 1.0}] if sensors == 4 else [])
        replay(other, [_long(1, 1_700_000_009, "s1")], 1)
    backwards = manifest().model_copy(update={"sensors": manifest().sensors[::-1]})
    other = watch(LONG, backwards)
    checkpoint.restore(other, 0, entries, 0.0)
    assert _waiting(other) == [{0: 1.0}]
    swapped = watch(LONG)
    checkpoint.restore(swapped, 0, entries, 0.0)
    swapped.swap(FakeScorer(backwards))
    assert _waiting(swapped) == [{0: 1.0}]


def test_the_end_of_a_file_leaves_no_watermark_that_makes_the_next_lines_late() -> None:
    """A file is read to its end and grows: the rows that come then are as good as those before."""
    over = watch(LONG)
    replay(over, [_long(0, 1_700_000_000, "s1")], 1)
    assert over.finish(0.0).records == 1
    fresh = watch(LONG)
    entries = dict(checkpoint.snapshot(over, 0, 1))
    assert not _waiting(over)
    checkpoint.restore(fresh, 0, entries, 0.0)
    story = replay(fresh, [_long(1 + i, 1_700_000_010 + i, "s1") for i in range(9)], 3)
    assert len(story.scores) == 6  # three wait for their lateness, none was late
    assert all(flags & 2 == 0 for _, flags in story.scores.values())


def test_an_open_incident_of_a_sensor_that_the_model_lost_is_closed_with_the_next_row() -> None:
    """A model with other sensors takes over at a restart, and the alert that said stuck is closed."""
    over = watch(facts=manifest(stuck_rows=5))
    records = feed(plant(rows=140, assets=2))
    replay(over, records[:270], 30)
    assert [key[1:] for key in over.pipelines["m"].quality_alarms.incidents] == [("stuck", "s2")]
    (stuck,) = over.pipelines["m"].quality_alarms.incidents.values()
    other = watch(facts=manifest(sensors=2, version="v2"))
    checkpoint.restore(other, 0, dict(checkpoint.snapshot(over, 0, 270)), 0.0)
    story = replay(other, records[270:], 1)
    (closed,) = [alert for alert in story.alerts.values() if alert.data.incident == stuck.id]
    assert (closed.data.state, closed.data.close_reason) == (AlertState.CLOSED, CloseReason.SUPERSEDED_MODEL)
    assert closed.data.message == "a1, s2: stuck alarm ends without recovery, m v2 does not judge it"
    assert not other.pipelines["m"].quality_alarms.incidents


def test_a_run_that_lasts_for_years_does_not_turn_negative() -> None:
    """A sensor stuck longer than 32 bits can count stays stuck."""
    quality = QualityMonitor((Sensor(name="s", stuck_rows=5),), 10, 3)
    quality.runs[:] = 2**31 - 2
    quality.last[:] = 1.0
    for _ in range(3):
        found = quality.advance(np.zeros(4, np.int64), np.ones((4, 1), np.float32))
        assert found.invalid.all()
