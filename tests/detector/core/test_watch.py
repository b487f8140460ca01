"""The whole way of a record, without I/O: the outcome is a property of the records, not of how they came."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detector.core.placement import match
from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.watch import Watch
from schemas.alert import AlertKind, AlertState, Condition, Severity
from schemas.config import Feed, ScoresOut, WatchRule
from schemas.feed import RowFlag
from tests.support.plant import (
    START_S,
    FakeRecord,
    FakeScorer,
    Story,
    feed,
    manifest,
    plant,
    replay,
    settings,
    watch,
    wide,
)


def test_a_fault_is_alarmed_once_and_explained() -> None:
    """A shift of one sensor opens one incident, names the sensor first, and closes it after it is over."""
    story = replay(watch(), feed(plant()), 1000)
    process = [a for a in story.alerts.values() if a.data.kind is AlertKind.PROCESS]
    assert [a.data.state for a in process if a.data.asset == "a0"] == [AlertState.OPENED, AlertState.CLOSED]
    opened = process[0].data
    assert opened.sensors[0].sensor == "s1"
    assert opened.sensors[0].expected == 0.0
    assert opened.sensors[0].contribution > 0.9
    assert START_S + 60 <= opened.start.timestamp() <= START_S + 64
    assert opened.origin.first_offset == (opened.start.timestamp() - START_S) * 3


def test_quality_alarms_are_apart_and_mask_the_sensor() -> None:
    """A stuck and an out-of-range sensor give quality alarms, and no process alarm of their own."""
    story = replay(watch(), feed(plant()), 1000)
    quality = {
        (a.data.asset, a.data.condition, a.data.state) for a in story.alerts.values() if a.data.kind == "quality"
    }
    for asset, condition in (("a1", Condition.STUCK), ("a0", Condition.OUT_OF_RANGE)):
        assert (asset, condition, AlertState.OPENED) in quality
        assert (asset, condition, AlertState.CLOSED) in quality
    assert not [a for a in story.alerts.values() if a.data.kind == "process" and a.data.asset == "a1"]


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 3),
    poll=st.integers(1, 400),
    restarts=st.lists(st.integers(0, 700), max_size=3),
    partitions=st.integers(1, 3),
)
def test_the_outcome_does_not_depend_on_polls_or_restarts(
    seed: int, poll: int, restarts: list[int], partitions: int
) -> None:
    """One feed, any polls, checkpoints and restarts: the same scores, flags, alerts and ids."""
    records = feed(plant(seed), partitions)
    whole = replay(watch(), records, len(records))
    story, over, begin = Story({}, {}, []), watch(), 0
    kept: dict[tuple[int, bytes], bytes] = {}
    for cut in sorted(restarts):
        replay(over, records[begin:cut], poll, story)
        begin = max(begin, cut)
        over = restarted(over, records[:begin], partitions, kept)
    replay(over, records[begin:], poll, story)
    assert story.scores == whole.scores
    assert story.alerts == whole.alerts


def restarted(over: Watch, done: list[FakeRecord], partitions: int, kept: dict[tuple[int, bytes], bytes]) -> Watch:
    """A new process that restores what the old ones wrote; of a key the newest entry counts."""
    fresh = watch()
    for partition in range(partitions):
        following = max((r.offset + 1 for r in done if r.partition == partition), default=0)
        kept |= {(partition, key): value for key, value in checkpoint.snapshot(over, partition, following)}
        entries = {key: value for (owner, key), value in kept.items() if owner == partition}
        assert checkpoint.restore(fresh, partition, entries, START_S) == following
    return fresh


def test_a_replay_up_to_the_checkpoint_changes_nothing() -> None:
    """A crash between buckets and marker leaves newer buckets: their records are passed over on the replay."""
    records = feed(plant())
    whole = replay(watch(), records, 100)
    over, story = watch(), Story({}, {}, [])
    replay(over, records[:300], 100, story)
    old_marker = dict(checkpoint.snapshot(over, 0, 300))[b"marker"]
    replay(over, records[300:400], 100, story)
    entries = dict(checkpoint.snapshot(over, 0, 400)) | {b"marker": old_marker}
    fresh = watch()
    assert checkpoint.restore(fresh, 0, entries, START_S) == 300
    replay(fresh, records[300:], 100, story)
    assert story.alerts == whole.alerts
    assert story.scores == whole.scores


@pytest.mark.parametrize("poll", [1, 5, 13])
def test_a_silence_has_one_id_where_the_last_row_was_late(poll: int) -> None:
    """It begins with the newest row, whoever notices it: the clock, a poll's first row, or a row within a poll."""
    rows = [wide(t, "a", START_S + t, (0.0, 0.1 * t, 0.2)) for t in range(10)]
    rows += [wide(10, "a", START_S + 3, (0.0, 0.0, 0.0)), wide(11, "b", START_S + 60, (0.0, 0.0, 0.0))]
    rows += [wide(12, "a", START_S + 90, (0.0, 0.0, 0.0))]
    opened = [a for a in replay(watch(), rows, poll).alerts.values() if a.data.condition is Condition.SILENT]
    assert [(a.data.state, a.data.origin.first_offset) for a in opened] == [
        (AlertState.OPENED, 9),
        (AlertState.CLOSED, 9),
    ]


def test_silence_is_alarmed_and_ends_with_the_next_row() -> None:
    """An asset that sends nothing is alarmed by the feed's clock; many polls and one poll give the same."""
    values = np.random.default_rng(1).normal(size=(200, 2, 3))
    records = [r for r in feed(values) if not (b'"a1"' in (r.value or b"") and 50 <= r.offset // 2 < 150)]
    slow, fast = replay(watch(), records, 3), replay(watch(), records, 10_000)
    assert slow.alerts == fast.alerts
    silent = [a.data for a in slow.alerts.values() if a.data.condition is Condition.SILENT]
    assert [(d.asset, d.state) for d in silent] == [("a1", AlertState.OPENED), ("a1", AlertState.CLOSED)]
    assert silent[0].duration_s == 30.0
    assert silent[1].duration_s == 101.0


def test_silence_never_closes_a_process_alarm() -> None:
    """An asset that falls silent in an incident stays in it."""
    values = np.random.default_rng(1).normal(size=(200, 2, 3))
    values[40:, 1] += 15.0
    records = [r for r in feed(values) if not (b'"a1"' in (r.value or b"") and r.offset // 2 >= 60)]
    states = {(a.data.kind, a.data.state) for a in replay(watch(), records, 7).alerts.values() if a.data.asset == "a1"}
    assert (AlertKind.PROCESS, AlertState.OPENED) in states
    assert (AlertKind.QUALITY, AlertState.OPENED) in states
    assert (AlertKind.PROCESS, AlertState.CLOSED) not in states


def test_every_record_is_accounted_for() -> None:
    """Each offset stands exactly once among scores and dead letters, watched or not."""
    config = settings(watch=(WatchRule(model="m", assets=("a[01]",)),))
    records = feed(plant())
    bad = [FakeRecord(len(records) + i, data) for i, data in enumerate([b"", b"[", None, b"{}", b'{"asset": 1.5}'])]
    over = watch(config)
    story = replay(over, [*records, *bad], 50)
    assert sorted(offset for _, offset in story.scores) == list(range(len(records)))
    assert story.dead == len(bad)
    unwatched = [offset for (_, offset), (_, flags) in story.scores.items() if flags == RowFlag.UNWATCHED]
    assert len(unwatched) == over.unwatched["a2"] == len(records) // 3


def test_the_cap_on_assets_holds() -> None:
    """Past max_assets new assets are flagged and counted, and take no memory; known ones are watched on."""
    config = settings().model_copy(update={"limits": settings().limits.model_copy(update={"max_assets": 2})})
    over = watch(config)
    story = replay(over, [wide(i, f"a{i}", START_S + i, (0.0, 0.0, 0.0)) for i in range(50)], 10)
    assert len(over.pipelines["m"].assets) == 2
    assert sum(flags == RowFlag.OVER_LIMIT for _, flags in story.scores.values()) == 48


def test_drift_of_most_assets_asks_once() -> None:
    """A shift of the inputs that lasts asks for one retraining with its figures; noise asks for none."""
    values = np.random.default_rng(5).normal(size=(600, 3, 3))
    assert not replay(watch(), feed(values), 100).requests
    values[200:, :, 0] += 2.0
    story = replay(watch(), feed(values), 100)
    assert len(story.requests) == 1
    assert story.requests[0].figures[0].signal == "s0"
    assert story.requests[0].figures[0].z > 5


@pytest.mark.parametrize("poll", [1, 7, 100])
def test_the_memory_of_drift_does_not_depend_on_polls(poll: int) -> None:
    """Whatever a checkpoint keeps of it is the same as after one poll of everything."""
    records = feed(np.random.default_rng(5).normal(size=(605, 3, 3)))
    whole, parts = watch(), watch()
    replay(whole, records, len(records))
    replay(parts, records, poll)
    one, other = whole.pipelines["m"].drift, parts.pipelines["m"].drift
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.count, other.count)
    np.testing.assert_array_equal(one.streak, other.streak)
    np.testing.assert_allclose(one.total, other.total, atol=1e-9)


def test_a_fault_of_one_asset_is_no_drift() -> None:
    """One asset in trouble does not ask for a retraining of the model of three."""
    values = np.random.default_rng(5).normal(size=(600, 3, 3))
    values[200:, 0, 0] += 2.0
    assert not replay(watch(), feed(values), 100).requests


@pytest.mark.parametrize("dead", [2.0, np.nan, 99.0])
@pytest.mark.parametrize("assets", [1, 3])
def test_a_dead_sensor_is_no_drift(dead: float, assets: int) -> None:
    """Stuck, missing or out of range on every asset there is: quality alarms, and nobody is asked to learn it."""
    values = np.random.default_rng(5).normal(size=(900, assets, 3))
    values[200:, :, 0] = dead
    story = replay(watch(), feed(values), 100)
    assert {a.data.kind for a in story.alerts.values()} == {AlertKind.QUALITY}
    assert not story.requests


def test_a_drift_that_raises_alarms_everywhere_is_still_a_drift() -> None:
    """When all assets leave normal at once, open incidents do not hide it; one asset alone is in trouble instead."""
    values = np.random.default_rng(5).normal(size=(600, 3, 3))
    values[200:, :, 0] += 9.0
    story = replay(watch(), feed(values), 100)
    assert len([a for a in story.alerts.values() if a.data.state is AlertState.OPENED]) == 3
    assert len(story.requests) == 1
    assert not replay(watch(), feed(values[:, :1]), 100).requests


def test_a_swap_between_polls_leaves_no_row_unscored() -> None:
    """The rows after a swap are scored by the new version at once; incidents go on."""
    values = plant()
    records = feed(values)
    over = watch()
    story = replay(over, records[:240], 40)
    over.swap(FakeScorer(manifest(version="v2")))
    replay(over, records[240:], 40, story)
    assert all(score is not None for (_, offset), (score, _) in story.scores.items() if offset >= 240)
    fault = [a.data for a in story.alerts.values() if a.data.kind == "process" and a.data.asset == "a0"]
    assert [(d.state, d.model_version) for d in fault] == [(AlertState.OPENED, "v1"), (AlertState.CLOSED, "v2")]
    assert fault[0].incident == fault[1].incident


def test_severity_follows_the_peak_and_an_escalation_is_told() -> None:
    """A fault that grows past twice and four times the threshold is an update each time its severity rises."""
    values = np.random.default_rng(2).normal(size=(160, 1, 3)) * 0.1
    values[40:70, 0, 0] += 6.0
    values[70:100, 0, 0] += 12.0
    values[100:130, 0, 0] += 24.0
    data = [a.data for a in replay(watch(), feed(values), 9).alerts.values()]
    assert [(d.state, d.severity) for d in data] == [
        (AlertState.OPENED, Severity.WARNING),
        (AlertState.UPDATED, Severity.MAJOR),
        (AlertState.UPDATED, Severity.CRITICAL),
        (AlertState.CLOSED, Severity.CRITICAL),
    ]
    assert [d.sequence for d in data] == [0, 1, 2, 3]


def test_each_alert_has_the_evidence_of_its_own_row() -> None:
    """An incident with several alerts in one poll: each has its own row's evidence, as if every row had been a poll."""
    values = np.random.default_rng(2).normal(size=(160, 1, 3)) * 0.1
    values[40:70, 0, 0] += 6.0
    values[70:130, 0, 1] += 24.0
    alerts = replay(watch(), feed(values), len(values)).alerts
    assert alerts == replay(watch(), feed(values), 1).alerts
    first = [alert.data.sensors[0].sensor for alert in alerts.values()]
    assert (first[0], set(first[1:])) == ("s0", {"s1"}), "opened by one sensor, escalated by another"


def test_long_records_give_the_scores_of_wide_ones() -> None:
    """One sensor a record, in any poll size: the alerts' assets and times are those of the wide feed."""
    values = plant(rows=120)
    whole = replay(watch(), feed(values), 50)
    long: list[FakeRecord] = []
    for record in feed(values):
        row = json.loads(record.value or b"")
        for name in ("s0", "s1", "s2"):
            if name in row:
                body = {"asset": row["asset"], "timestamp": row["timestamp"], "sensor": name, "value": row[name]}
                long.append(FakeRecord(len(long), json.dumps(body).encode()))
    config = settings(feed=Feed(form="long", lateness_s=2.0))
    stories = []
    for poll in (7, 5000):
        over = watch(config)
        stories.append(replay(over, long, poll))
        last = over.finish(0.0)
        stories[-1].alerts |= {a.id: a for a in last.alerts}
    assert stories[0].alerts == stories[1].alerts
    found = {(a.data.asset, a.data.condition, a.data.state, a.time) for a in stories[0].alerts.values()}
    assert found == {(a.data.asset, a.data.condition, a.data.state, a.time) for a in whole.alerts.values()}


@pytest.mark.parametrize(
    ("emit", "kept"),
    [
        (ScoresOut(emit="none"), lambda place, _: place < 0),
        (ScoresOut(emit="every_nth", nth=7), lambda place, _: place % 7 == 0),
        (ScoresOut(emit="above", fraction=0.5), lambda _, score: score is not None and score > 2.0),
    ],
)
def test_the_scores_topic_holds_what_was_asked_for(emit: ScoresOut, kept: Callable[[int, float | None], bool]) -> None:
    """none, every n-th offset, or scores above a fraction of the threshold."""
    records = feed(plant())
    everything = replay(watch(), records, 60).scores
    some = replay(watch(settings(scores=emit)), records, 60).scores
    assert some == {place: entry for place, entry in everything.items() if kept(place[1], entry[0])}


def test_rules_are_read_in_order() -> None:
    """The first rule whose glob fits counts; an asset that none names has no model."""
    rules = [WatchRule(model="pumps", assets=("pump-*",)), WatchRule(model="all-1", assets=("*-1",))]
    assert match(rules, "pump-1") == "pumps"
    assert match(rules, "fan-1") == "all-1"
    assert match(rules, "fan-2") is None


@pytest.mark.parametrize("by_feed", [True, False])
def test_a_swap_to_other_sensors_keeps_the_assets_clocks(by_feed: bool) -> None:
    """An asset that sends nothing after the swap falls silent on either clock, from its last row on."""
    over = Watch(WatchSettings.of(settings()), {"m": FakeScorer()}, by_feed=by_feed, topic="sensors")
    rows = [wide(t, "a", START_S + t, (0.0, 0.1, 0.2)) for t in range(20)]
    over.process(rows, START_S + 19)
    over.swap(FakeScorer(manifest(sensors=2, version="v2")))
    for second in range(20, 50):
        assert not over.process([], START_S + second).alerts
    other = [wide(20, "b", START_S + 52, (0.0, 0.1))]
    (alert,) = over.process(other, START_S + 52).alerts
    assert (alert.subject, alert.data.condition) == ("a", Condition.SILENT)
    assert alert.data.start.timestamp() == START_S + 19
