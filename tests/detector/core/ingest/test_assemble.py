"""Long records become rows: a value is in its row, late, or of a sensor that no model has; none is lost silently."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from detector.core.ingest import assemble
from detector.core.ingest.assemble import Assembled, Assembler
from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.watch import Watch
from schemas.config import Feed, ScoresOut, WatchRule
from schemas.feed import RowFlag
from tests.support.plant import FakeRecord, FakeScorer, manifest, settings, watch

LONG = Feed(form="long", lateness_s=2.0)


def long(values: Sequence[tuple[int, str]]) -> list[FakeRecord]:
    """A record for each (second, sensor)."""
    return [
        FakeRecord(i, b'{"asset":"a","timestamp":%d,"sensor":"%s","value":1}' % (1_700_000_000 + t, s.encode()))
        for i, (t, s) in enumerate(values)
    ]


def test_a_value_of_a_sensor_that_no_model_has_is_counted() -> None:
    """It is no dead letter: a topic may hold more than is watched. Its neighbours become rows."""
    over = watch(settings(feed=LONG))
    outcome = over.process(long([(0, "s0"), (0, "colour"), (1, "s0"), (9, "s0")]), 0.0)
    assert (outcome.dead_letters, outcome.assembly["unknown_sensor"]) == ([], 1)
    assert sum(len(block.offsets) for block in outcome.scores) == 2


@pytest.mark.parametrize(("emit", "blocks"), [("all", 1), ("none", 0)])
def test_a_value_behind_the_watermark_is_late(emit: str, blocks: int) -> None:
    """Its row is closed: among the scores it stands flagged, where scores go out at all."""
    over = watch(settings(feed=LONG, scores=ScoresOut.model_validate({"emit": emit})))
    late = over.process(long([(0, "s0"), (1, "s0"), (90, "s0"), (1, "s1")]), 0.0).scores[-1:]
    assert len(late) == blocks
    assert [(block.offsets.tolist(), block.flags.tolist()) for block in late] == [([3], [RowFlag.LATE])] * blocks


def test_at_a_files_end_the_last_rows_come_out() -> None:
    """What waited for its lateness waits no longer; a wide feed has nothing that waits."""
    over = watch(settings(feed=LONG))
    assert over.process(long([(0, "s0"), (1, "s0")]), 0.0).records == 2
    assert over.finish(0.0).records == 2
    assert watch().finish(0.0).records == 0


def add(assembler: Assembler, values: Sequence[tuple[float, str]], offset: int = 0) -> Assembled:
    """Values (second, sensor) of one asset."""
    count = len(values)
    times = np.array([second for second, _ in values], np.float64)
    offsets = np.arange(offset, offset + count)
    return assembler.add(np.zeros(count, np.int64), offsets, times, np.ones(count), [name for _, name in values])


def test_a_cell_that_is_given_twice_keeps_the_last_value_and_is_counted() -> None:
    """Two values of one sensor within a period: in the outcome stands how often that was."""
    over = watch(settings(feed=LONG))
    outcome = over.process(long([(0, "s0"), (0, "s0"), (0, "s1"), (9, "s0")]), 0.0)
    assert outcome.assembly["overwritten"] == 1
    assert [block.offsets.tolist() for block in outcome.scores] == [[2]]


def test_late_values_are_counted() -> None:
    """By the flag that late rows have."""
    over = watch(settings(feed=LONG))
    assert over.process(long([(0, "s0"), (90, "s0"), (1, "s1"), (2, "s1")]), 0.0).flags[RowFlag.LATE] == 2


def test_a_sensor_of_another_model_is_counted() -> None:
    """Its asset's model does not have it, so it is in no row; but it is a sensor, and no dead letter."""
    small = manifest(sensors=2).model_copy(update={"model": "n"})
    rules = (WatchRule(model="n", assets=("a",)), WatchRule(model="m"))
    config = WatchSettings.of(settings(feed=LONG, watch=rules))
    over = Watch(config, {"m": FakeScorer(), "n": FakeScorer(small)}, by_feed=True, topic="sensors")
    outcome = over.process(long([(0, "s0"), (0, "s2")]), 0.0)
    assert outcome.assembly["unknown_sensor"] == 1
    assert not outcome.dead_letters


@pytest.mark.parametrize("poll", [1, 7, 1000])
def test_more_rows_than_may_wait_are_released_oldest_first(poll: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In polls of any size the same rows, counted; values that come for them later are late."""
    monkeypatch.setattr(assemble, "MAX_WAITING", 40)
    assembler = Assembler(("s0", "s1"), 1.0, 3600.0)
    values = [(float(t), "s0") for t in range(100)] + [(5.0, "s1")]
    found = [add(assembler, values[begin : begin + poll], begin) for begin in range(0, len(values), poll)]
    assert [time for each in found for time in each.rows.times.tolist()] == [float(t) for t in range(80)]
    assert sum(each.early for each in found) == 80
    assert sum(len(each.late) for each in found) == 1


def test_what_waits_fits_into_a_checkpoint() -> None:
    """An asset with as many rows as may wait: an entry of the state topic holds a hundred of them."""
    sent = [(t / 10, f"s{s}") for t in range(10_000) for s in range(3)]
    records = [
        FakeRecord(i, b'{"asset":"a","timestamp":%.1f,"sensor":"%s","value":0.123456789}' % (1.7e9 + t, s.encode()))
        for i, (t, s) in enumerate(sent)
    ]
    facts = manifest().model_copy(update={"period_s": 0.1})
    over = watch(settings(feed=Feed(form="long", lateness_s=3600.0)), facts)
    outcome = over.process(records, 0.0)
    assert outcome.assembly["released_early"] > 7_000
    assert max(len(value) for _, value in checkpoint.snapshot(over, 0, len(records))) < 16 * 2**20 / 100


def test_lateness_has_a_bound() -> None:
    """What waits is memory, and part of every checkpoint."""
    with pytest.raises(ValidationError):
        Feed(form="long", lateness_s=3601.0)


def test_another_period_takes_over_the_rows_that_wait() -> None:
    """A swap to a model of two seconds: what waited by the second is in the rows of the new period."""
    old, new = Assembler(("s0", "s1"), 1.0, 5.0), Assembler(("s1", "s0"), 2.0, 5.0)
    add(old, [(100.0, "s0"), (100.0, "s1"), (102.0, "s0")])
    new.adopt(old)
    rows = new.release(new.waiting())
    assert rows.times.tolist() == [100.0, 102.0]
    assert np.isnan(rows.values).tolist() == [[False, False], [True, False]]
