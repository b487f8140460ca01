"""A reload between polls: the core takes up what it is given, and the state stays."""

import numpy as np
import pytest

from detector.core.settings import WatchSettings
from schemas.alert import AlertKind, AlertState, Condition
from schemas.config import Alarms, Drift, Feed, WatchRule
from tests.support.plant import Story, feed, plant, replay, settings, watch


def test_reloaded_delays_count_at_once() -> None:
    """A longer on-delay taken up in the middle keeps a short fault from opening."""
    records = feed(plant())
    over = watch()
    story = replay(over, records[:150], 50)
    changed = settings(alarms=Alarms(silent_after_s=30.0, on_delay_s=100.0), drift=Drift(enabled=False))
    over.configure(WatchSettings.of(changed))
    replay(over, records[150:], 50, story)
    assert not [a for a in story.alerts.values() if a.data.kind is AlertKind.PROCESS]


def _opened(story: Story, condition: Condition) -> list[str]:
    """The sensors whose condition was opened."""
    return [
        alert.data.sensors[0].sensor
        for alert in story.alerts.values()
        if alert.data.condition is condition and alert.data.state is AlertState.OPENED
    ]


@pytest.mark.parametrize(
    ("key", "condition", "bad"),
    [("missing_rows", Condition.MISSING, np.nan), ("range_rows", Condition.OUT_OF_RANGE, 60.0)],
)
def test_reloaded_limits_of_data_quality_count_at_once(key: str, condition: Condition, bad: float) -> None:
    """Runs of bad rows go on over a reload, and are held against the limit that it brought."""
    values = np.random.default_rng(2).normal(size=(60, 1, 3))
    values[20:32, 0, 1] = bad
    records = feed(values)
    lenient, strict = (settings(alarms=Alarms(**{key: rows})) for rows in (20, 8))
    assert not _opened(replay(watch(lenient), records, 7), condition)
    over = watch(lenient)
    story = replay(over, records[:25], 7)
    over.configure(WatchSettings.of(strict))
    assert _opened(replay(over, records[25:], 7, story), condition) == ["s1"]


def test_a_reload_starts_and_drops_the_drift_watch() -> None:
    """Without it nobody is asked to retrain; with it, from the reload on, a lasting shift asks."""
    values = np.random.default_rng(5).normal(size=(700, 3, 3))
    values[:, :, 0] += 2.0
    records, off = feed(values), settings(drift=Drift(enabled=False))
    over = watch()
    over.configure(WatchSettings.of(off))
    story = replay(over, records[:900], 100)
    assert over.pipelines["m"].drift is None
    assert not story.requests
    over.configure(WatchSettings.of(settings()))
    assert len(replay(over, records[900:], 100, story).requests) == 1


def test_an_asset_that_no_rule_names_any_more_is_let_go() -> None:
    """Its slot is free and its rows are passed over; the assets that are still named know what they knew."""
    over = watch()
    records = feed(plant())
    story = replay(over, records[:300], 50)
    over.configure(WatchSettings.of(settings(watch=(WatchRule(model="m", assets=("a0", "a2")),))))
    replay(over, records[300:], 50, story)
    assert sorted(asset for _, asset in over.pipelines["m"].assets.index) == ["a0", "a2"]
    whole = replay(watch(), records, 50)
    named = {key: entry for key, entry in whole.scores.items() if key[1] % 3 != 1}
    assert {key: entry for key, entry in story.scores.items() if key[1] % 3 != 1} == named
    assert over.unwatched["a1"] == sum(record.offset % 3 == 1 for record in records[300:])


def test_the_feed_stays_as_it_was() -> None:
    """Where the fields lie is fixed for a watch's life: a later swap must not begin to read other ones."""
    over = watch()
    over.configure(WatchSettings.of(settings(feed=Feed(timestamp="elsewhere"))))
    over.swap(over.pipelines["m"].scorer)
    assert not replay(over, feed(plant(rows=5)), 50).dead
