"""Who takes an asset up and who lets it go: partitions, evictions, checkpoints, and rooms that grow."""

import numpy as np
import pytest

from detector.core.arrays import Floats
from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.watch import Watch
from schemas.alert import AlertKind, Condition
from schemas.config import Limits, WatchRule
from schemas.feed import RowFlag
from schemas.manifest import Manifest
from tests.support.plant import (
    START_S,
    FakeRecord,
    FakeScorer,
    feed,
    manifest,
    plant,
    replay,
    settings,
    watch,
    wide,
)


def test_a_released_partition_leaves_nothing_behind() -> None:
    """Another member has it now: its assets are gone, the other partition's go on, and its slots are used again."""
    over, records = watch(), feed(plant(), partitions=2)
    replay(over, records[:300], 50)
    assert over.changed(1)
    over.release(1)
    pipeline = over.pipelines["m"]
    assert not over.changed(1)
    assert {partition for partition, _ in pipeline.assets.index} == {0}
    over.process([wide(0, "new", START_S, (0.0, 0.0, 0.0), partition=1)], 0.0)
    assert pipeline.assets.index[1, "new"] == 1
    assert pipeline.windows.run[1] == 1


def test_long_rows_that_wait_go_with_their_partition() -> None:
    """What waits for sensors is the partition's state too."""
    config = settings(feed={"form": "long", "lateness_s": 2.0})
    over = watch(config)
    over.process([FakeRecord(0, b'{"asset": "a", "timestamp": 1700000000, "sensor": "s0", "value": 1}')], 0.0)
    assembler = over.pipelines["m"].assembler
    assert assembler is not None
    assert len(assembler.waiting()) == 1
    over.release(0)
    assert not len(assembler.waiting())


def test_more_assets_than_there_is_room_for() -> None:
    """Every component grows with them, in the middle of a poll: each scores as it would alone."""
    values = np.random.default_rng(3).normal(size=(12, 150, 3))
    over = watch()
    story = replay(over, feed(values), 700)
    assert len(over.pipelines["m"].assets) == 150
    alone = replay(watch(), feed(values[:, 149:150]), 50)
    last = [story.scores[0, 150 * t + 149] for t in range(12)]
    assert last == [alone.scores[0, t] for t in range(12)]


def test_an_evicted_asset_is_a_change_that_a_checkpoint_must_say() -> None:
    """Or a restart would bring it back; the checkpoint that says so is the last one that has to."""
    over = watch(settings(limits=Limits(idle_s=50.0)))
    over.process([wide(0, "gone", START_S, (0.0, 0.0, 0.0)), wide(1, "a", START_S, (0.0, 0.0, 0.0))], 0.0)
    checkpoint.snapshot(over, 0, 2)
    over.process([wide(2, "a", START_S + 100, (0.0, 0.0, 0.0))], 0.0)
    assert list(over.pipelines["m"].assets.index) == [(0, "a")]
    assert over.changed(0)
    checkpoint.snapshot(over, 0, 3)
    assert not over.changed(0)


def test_two_models_each_take_their_own_columns() -> None:
    """The feed is decoded once for the sensors of all; a model of two sensors sees just these, in its own order."""
    config = settings(watch=(WatchRule(model="m", assets=("a0",)), WatchRule(model="n", assets=("a*",))))
    small = manifest(sensors=2).model_copy(update={"model": "n"})
    scorers = {"m": FakeScorer(), "n": FakeScorer(small)}
    over = Watch(WatchSettings.of(config), scorers, by_feed=True, topic="sensors")
    values = np.random.default_rng(3).normal(size=(40, 2, 3))
    both = replay(over, feed(values), 30)
    only = replay(watch(facts=manifest(sensors=2)), feed(values[:, 1:, :2]), 30)
    assert [both.scores[0, 2 * t + 1] for t in range(40)] == [only.scores[0, t] for t in range(40)]


class Speechless(FakeScorer):
    """A graph that gives nothing finite for rows whose first sensor is above 100."""

    def sensor_error(self, windows: Floats) -> Floats:
        given = super().sensor_error(windows)
        return np.where(windows[:, -1, :1] > 100.0, np.float32(np.inf), given)


def test_a_row_without_a_finite_score_is_flagged_and_moves_nothing() -> None:
    """The memory of the score and an open incident are as if the row had given what is normal."""
    bare = manifest(stuck_rows=None)
    facts = bare.model_copy(update={"sensors": tuple(s.model_copy(update={"high": None}) for s in bare.sensors)})
    over = Watch(WatchSettings.of(settings()), {"m": Speechless(facts)}, by_feed=True, topic="sensors")
    values = np.zeros((30, 1, 3))
    values[10:20, 0, 1] = 20.0
    values[16, 0, 0] = 200.0
    story = replay(over, feed(values[:18]), 5)
    assert story.scores[0, 16] == (None, RowFlag.NO_SCORE)
    assert over.pipelines["m"].open_incidents(AlertKind.PROCESS) == 1
    assert over.pipelines["m"].open_incidents(AlertKind.QUALITY) == 0


def turned(facts: Manifest) -> Manifest:
    """The next version of a model, with its sensors in the opposite order."""
    return facts.model_copy(update={"model_version": "v2", "sensors": facts.sensors[::-1]})


@pytest.mark.parametrize("restarts", [False, True])
def test_the_same_sensors_in_another_order_keep_windows_and_quality(restarts: bool) -> None:
    """A swap, or a restart with the new version: the next row is scored, and a run of equal values goes on."""
    rows = [wide(t, "a", START_S + t, (0.1 * t, 0.2 * t, 7.0)) for t in range(6)]
    over = watch()
    story = replay(over, rows[:4], 4)
    if restarts:
        entries = dict(checkpoint.snapshot(over, 0, 4))
        over = watch(facts=turned(manifest()))
        assert checkpoint.restore(over, 0, entries, START_S) == 4
    else:
        over.swap(FakeScorer(turned(manifest())))
    assert over.pipelines["m"].windows.history[0, -1].tolist() == pytest.approx([7.0, 0.6, 0.3])
    replay(over, rows[4:], 2, story)
    assert [score is not None for score, _ in story.scores.values()] == [False, False, False, True, True, True]
    (alert,) = story.alerts.values()
    assert (alert.data.condition, alert.data.sensors[0].sensor) == (Condition.STUCK, "s2")
    assert alert.data.origin.first_offset == 4


@pytest.mark.parametrize("by_feed", [True, False])
def test_an_asset_without_a_newest_row_is_never_silent(by_feed: bool) -> None:
    """A checkpoint of before may hold one, with an incident: silence and forgetting pass over it or end it."""
    over = Watch(
        WatchSettings.of(settings(limits=Limits(idle_s=50.0))), {"m": FakeScorer()}, by_feed=by_feed, topic="t"
    )
    over.process([wide(t, "a", START_S + t, (0.0, 60.0, 0.1 * t)) for t in range(4)], START_S)
    over.pipelines["m"].arrivals.newest[0] = -np.inf
    entries = dict(checkpoint.snapshot(over, 0, 4))
    fresh = Watch(over.settings, {"m": FakeScorer()}, by_feed=by_feed, topic="t")
    checkpoint.restore(fresh, 0, entries, START_S)
    alerts = fresh.process([wide(4, "b", START_S + 100, (0.0, 0.0, 0.0))], START_S + 100).alerts
    assert [a.data.state for a in alerts if a.data.condition is Condition.SILENT] == []
    assert fresh.process([wide(5, "a", START_S + 101, (0.0, 0.0, 0.0))], START_S + 101).records == 1
