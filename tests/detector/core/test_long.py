"""Long feeds: what becomes of a value depends on its asset's values alone, never on polls, restarts and checkpoints."""

import json
from collections.abc import Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.state.codec import MARKER, bucket_key, bucket_of
from detector.core.watch import Watch
from schemas.alert import Condition
from schemas.config import Feed, WatchRule
from schemas.feed import RowFlag
from tests.support.plant import START_S, FakeRecord, FakeScorer, Story, manifest, replay, settings, watch

Value = tuple[float, str, str, float]  # second, asset, sensor, value

LONG = settings(feed=Feed(form="long", lateness_s=5.0))


def records(values: Iterable[Value], partition: int = 0) -> list[FakeRecord]:
    """A record a value, in this order."""
    return [
        FakeRecord(
            offset,
            json.dumps({"asset": asset, "timestamp": START_S + second, "sensor": sensor, "value": value}).encode(),
            partition,
        )
        for offset, (second, asset, sensor, value) in enumerate(values)
    ]


def finished(over: Watch, story: Story) -> Story:
    """With the rows that wait at the end."""
    outcome = over.finish(0.0)
    story.alerts |= {alert.id: alert for alert in outcome.alerts}
    for block in outcome.scores:
        for offset, score, flags in zip(
            block.offsets.tolist(), block.scores.tolist(), block.flags.tolist(), strict=True
        ):
            story.scores[block.partition, offset] = (None if np.isnan(score) else score, flags)
    return story


def mixed(seconds: int) -> list[Value]:
    """Two sensors a second, and one each five seconds that arrives 2.5 s late."""
    values: list[tuple[float, Value]] = []
    for t in range(seconds):
        values += [(t, (t, "a", "s0", t % 7)), (t, (t, "a", "s1", t % 5))]
        if t % 5 == 0:
            values.append((t + 2.5, (t, "a", "s2", t % 3)))
    return [value for _, value in sorted(values, key=lambda pair: pair[0])]


@pytest.mark.parametrize("poll", [1, 3, 50])
def test_sensors_of_several_rates_lose_no_row(poll: int) -> None:
    """A row whose slow sensor arrives after later rows are complete is a row, in polls of any size."""
    feed = records(mixed(60))
    over, at_once = watch(LONG), watch(LONG)
    whole = finished(at_once, replay(at_once, feed, len(feed)))
    story = finished(over, replay(over, feed, poll))
    assert len(whole.scores) == 60
    assert story.scores == whole.scores


def test_a_new_assets_first_rows_survive_a_checkpoint_of_their_bucket() -> None:
    """They wait while a checkpoint writes the bucket for a neighbour: nothing in it says that they are applied."""
    name = next(f"b{i}" for i in range(100_000) if bucket_of(f"b{i}") == bucket_of("a"))
    values: list[Value] = [(t, "a", f"s{s}", 1.0) for t in range(30) for s in range(3)]
    values += [(t, name, f"s{s}", 1.0) for t in range(20, 30) for s in range(3)]
    feed = records(sorted(values, key=lambda value: value[0]))
    over, story = watch(LONG), Story({}, {}, [])
    replay(over, feed[:75], 5, story)
    checkpoint.snapshot(over, 0, 75)
    assert len(finished(over, replay(over, feed[75:], 5, story)).scores) == 40


def test_two_models_of_different_periods_get_rows_of_their_own() -> None:
    """The slow model's three sensors, ten seconds apart, are one row a minute beside a model of a second."""
    slow = manifest().model_copy(update={"model": "n", "period_s": 60.0, "max_gap_s": 300.0})
    config = settings(
        feed=Feed(form="long", lateness_s=5.0),
        watch=(WatchRule(model="n", assets=("slow",)), WatchRule(model="m", assets=("a",))),
    )
    values: list[Value] = [(t, "a", f"s{s}", 0.0) for t in range(1200) for s in range(3)]
    values += [(40.0 + 60.0 * row + 10 * s, "slow", f"s{s}", 9.0) for row in range(20) for s in range(3)]
    feed = records(sorted(values, key=lambda value: value[0]))
    scorers = {"m": FakeScorer(), "n": FakeScorer(slow)}
    both = Watch(WatchSettings.of(config), scorers, by_feed=True, topic="sensors")
    story = finished(both, replay(both, feed, 100))
    opened = [a.data.asset for a in story.alerts.values() if a.data.condition is Condition.ANOMALY]
    assert "slow" in opened
    assert len(story.scores) == 1200 + 20


@pytest.mark.parametrize(("period_s", "jitter_s"), [(0.1, 0.0), (1.0, 0.02), (0.25, 0.05), (1 / 3, 0.0)])
def test_no_value_of_a_regular_feed_is_overwritten(period_s: float, jitter_s: float) -> None:
    """Cells have their centres on the grid: tenths, thirds and jitter about the grid give a row each."""
    rng = Random(1)
    facts = manifest().model_copy(update={"period_s": period_s})
    values = [(t * period_s + rng.uniform(-jitter_s, jitter_s), "a", "s0", 1.0) for t in range(1, 1001)]
    over = Watch(WatchSettings.of(LONG), {"m": FakeScorer(facts)}, by_feed=True, topic="sensors")
    assert len(finished(over, replay(over, records(values), 100)).scores) == 1000


def test_one_value_ahead_of_its_time_makes_no_other_asset_late() -> None:
    """Each asset has a watermark of its own; the hasty one is late by itself, and said to be."""
    values: list[Value] = [(t, asset, "s0", 1.0) for t in range(60) for asset in ("a", "b", "c")]
    values.insert(90, (3000.0, "c", "s0", 1.0))
    over = watch(settings(feed=Feed(form="long", lateness_s=5.0), alarms={"silent_after_s": 9000.0}))
    story = replay(over, records(values), 10)
    late = {offset for (_, offset), (_, flags) in story.scores.items() if flags & RowFlag.LATE}
    assert late
    assert {values[offset][1] for offset in late} == {"c"}


def test_a_clock_that_was_set_back_is_followed() -> None:
    """After ten periods of nothing but late values the asset is watched again, by its new clock."""
    values: list[Value] = [(1000.0 + t, "a", f"s{s}", 1.0 + t % 2) for t in range(20) for s in range(3)]
    values += [(t, "a", f"s{s}", 1.0 + t % 2) for t in range(60) for s in range(3)]
    story = replay(watch(LONG), records(values), 7)
    scored = [offset for (_, offset), (score, _) in story.scores.items() if score is not None and offset >= 60]
    assert len(scored) > 25


def test_a_lost_members_bucket_is_read_again_with_a_watermark_that_fits() -> None:
    """It wrote after its successor; what its bucket lacks is read again, and no value of it is late."""
    values: list[Value] = [(t, f"a{a}", f"s{s}", (t * a) % 7) for t in range(100) for a in range(3) for s in range(3)]
    feed = records(values)
    at_once, over = watch(LONG), watch(LONG)
    whole = finished(at_once, replay(at_once, feed, len(feed)))
    story = replay(over, feed[:450], 10)
    zombie = dict(checkpoint.snapshot(over, 0, 450))
    replay(over, feed[450:800], 10, story)
    entries = zombie | dict(checkpoint.snapshot(over, 0, 800))
    key = bucket_key(bucket_of("a1"))
    entries[key] = zombie[key]
    successor = watch(LONG)
    assert checkpoint.restore(successor, 0, entries, 0.0) == 450
    again = replay(successor, feed[450:], 10, Story({}, {}, []))
    finished(successor, again)
    assert all(whole.scores[place] == entry for place, entry in again.scores.items())
    assert story.scores | again.scores == whole.scores
    assert story.alerts | again.alerts == whole.alerts


ASSETS = ("a0", "a1", "b0")


def plant_values(seed: int, seconds: int) -> list[Value]:
    """Three assets: mixed rates, jitter, reports by exception, late values, an outage; the last has a slow model."""
    rng = Random(seed)
    sent: list[tuple[float, Value]] = []
    for t in range(seconds):
        for asset in ASSETS:
            if (asset == "a1" and 150 <= t < 210) or (asset == "b0" and t % 2):
                continue
            fault = 9.0 if 60 <= t < 90 and asset != "a1" else 0.0
            for s in range(3):
                rare = s == 2 and asset == "a0" and t % 3  # one each three seconds
                same = s == 1 and rng.random() < 0.3  # by exception
                if rare or same:
                    continue
                delay = rng.choice((0.0, 0.1, 0.4, 2.5)) if rng.random() < 0.97 else 12.0
                value = round(rng.gauss(0.0, 1.0), 3) + fault
                sent.append((t + delay, (round(t + rng.uniform(-0.02, 0.02) + 0.1, 4), asset, f"s{s}", value)))
    return [value for _, value in sorted(sent, key=lambda pair: pair[0])]


def two_periods() -> Watch:
    """A watch of two models of different periods, silence on."""
    config = settings(
        feed=Feed(form="long", lateness_s=5.0),
        watch=(WatchRule(model="n", assets=("b*",)), WatchRule(model="m", assets=("a*",))),
    )
    slow = manifest().model_copy(update={"model": "n", "period_s": 2.0, "fill_limit": 0.6})
    scorers = {"m": FakeScorer(manifest().model_copy(update={"fill_limit": 0.6})), "n": FakeScorer(slow)}
    return Watch(WatchSettings.of(config), scorers, by_feed=True, topic="sensors")


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 3),
    polls=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    restarts=st.lists(st.integers(0, 1500), max_size=4),
    torn=st.booleans(),
)
def test_the_outcome_does_not_depend_on_polls_restarts_or_checkpoints(
    seed: int, polls: list[int], restarts: list[int], torn: bool
) -> None:
    """One mixed feed, any polls, checkpoints and crashes between buckets and marker: the same scores and alerts."""
    feed = records(plant_values(seed, 300))
    at_once = two_periods()
    whole = finished(at_once, replay(at_once, feed, len(feed)))
    assert any(alert.data.condition is Condition.SILENT for alert in whole.alerts.values())
    assert any(flags & RowFlag.LATE for _, flags in whole.scores.values())
    story, over, begin = Story({}, {}, []), two_periods(), 0
    kept: dict[bytes, bytes] = {}
    for number, cut in enumerate(sorted(restarts)):
        replay(over, feed[begin:cut], polls[number % len(polls)], story)
        begin = max(begin, cut)
        written = dict(checkpoint.snapshot(over, 0, begin))
        if torn and number % 2 and MARKER in kept:
            written[MARKER] = kept[MARKER]  # it died before it wrote the marker
        kept |= written
        over = two_periods()
        begin = checkpoint.restore(over, 0, kept, 0.0) or 0
    finished(over, replay(over, feed[begin:], polls[-1], story))
    assert story.scores == whole.scores
    assert story.alerts == whole.alerts
    assert story.dead == 0


@pytest.mark.parametrize("by_feed", [True, False])
def test_rows_of_an_asset_that_falls_silent_are_scored_first(by_feed: bool) -> None:
    """They wait for values that no longer come; the silence begins with the last of them, on either clock."""
    over = Watch(WatchSettings.of(LONG), {"m": FakeScorer()}, by_feed=by_feed, topic="sensors")
    values: list[Value] = [(t, "a", f"s{s}", 1.0 + t % 2) for t in range(20) for s in range(3)]
    feed = records([*values, (49.5, "b", "s0", 0.0), (51.0, "b", "s0", 0.0)])
    times = [START_S + 20] * len(values) + [START_S + 49.5, START_S + 51.0]
    silent, rows = [], []
    for record, now in zip(feed, times, strict=True):
        if record.offset == len(values):
            for waited_s in range(1, 30):  # time without a poll is no silence
                over.process([], START_S + 20 + waited_s)
        outcome = over.process([record], now)
        rows += [offset for block in outcome.scores if block.asset == "a" for offset in block.offsets.tolist()]
        silent += [alert for alert in outcome.alerts if alert.data.condition is Condition.SILENT]
        assert len(rows) == (20 if silent else 14) or record.offset < 58
    assert [(alert.subject, alert.data.origin.first_offset) for alert in silent] == [("a", 59)]
    assert rows == [3 * t + 2 for t in range(20)]


def test_a_checkpoint_is_written_for_an_asset_whose_rows_all_wait() -> None:
    """Its first values are in the state before any row of it is; a restart goes on from there."""
    feed = records([(t, "a", f"s{s}", 1.0) for t in range(12) for s in range(3)])
    over, fresh, at_once = watch(LONG), watch(LONG), watch(LONG)
    assert not replay(over, feed[:9], 2).scores
    assert over.changed(0)
    assert checkpoint.restore(fresh, 0, dict(checkpoint.snapshot(over, 0, 9)), 0.0) == 9
    story = finished(fresh, replay(fresh, feed[9:], 4))
    assert story.scores == finished(at_once, replay(at_once, feed, 1000)).scores
