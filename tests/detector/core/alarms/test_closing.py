"""Why an incident is closed: what is told got well did, and nothing that is open ever vanishes."""

import numpy as np
import pytest

from detector.core.settings import WatchSettings
from detector.core.state import checkpoint
from detector.core.watch import Watch
from schemas.alert import Alert, AlertKind, AlertState, CloseReason, Condition
from schemas.config import Alarms, Limits, Settings, WatchRule
from schemas.feed import RowFlag
from tests.support.plant import START_S, FakeRecord, FakeScorer, feed, manifest, replay, settings, watch, wide

OTHER = (WatchRule(model="m", assets=("b",)), WatchRule(model="n", assets=("a0",)))
NONE = (WatchRule(model="m", assets=("b",)),)


def two_models(config: Settings) -> Watch:
    """A watch of the models m and n."""
    scorers = {name: FakeScorer(manifest().model_copy(update={"model": name})) for name in ("m", "n")}
    return Watch(WatchSettings.of(config), scorers, by_feed=True, topic="sensors")


def broken() -> list[FakeRecord]:
    """An asset with an open process alarm and a sensor out of range."""
    values = np.random.default_rng(1).normal(size=(40, 1, 3))
    values[20:, 0, 1] += 15.0
    values[20:, 0, 0] += 80.0
    return feed(values)


def closed(alerts: list[Alert]) -> list[tuple[Condition, CloseReason | None]]:
    """What was closed and why."""
    return sorted((a.data.condition, a.data.close_reason) for a in alerts if a.data.state is AlertState.CLOSED)


@pytest.mark.parametrize("by_feed", [True, False])
def test_a_forgotten_asset_does_not_send_again(by_feed: bool) -> None:
    """Its silence is closed as forgotten, at the moment of the limit; so is whatever else was open of its sensors."""
    config = settings(limits=Limits(idle_s=500.0))
    over = Watch(WatchSettings.of(config), {"m": FakeScorer()}, by_feed=by_feed, topic="sensors")
    over.process([wide(t, "a", START_S + t, (0.0, 60.0, 0.1 * t)) for t in range(4)], START_S + 3)
    alerts: list[Alert] = []
    for t in range(5, 600, 5):
        alerts += over.process([wide(t, "b", START_S + t, (0.0, 0.0, 0.1 * t))], START_S + t).alerts
    alerts = [a for a in alerts if a.subject == "a"]
    assert closed(alerts) == [(c, CloseReason.FORGOTTEN) for c in (Condition.OUT_OF_RANGE, Condition.SILENT)]
    (end,) = [a for a in alerts if a.data.condition is Condition.SILENT and a.data.state is AlertState.CLOSED]
    assert end.time.timestamp() == START_S + 503
    assert end.data.duration_s == 500
    assert (
        end.data.message == "a: silent alarm ends without recovery, a is forgotten after limits.idle_s without a record"
    )


def test_an_asset_that_is_forgotten_at_once_closes_no_earlier_than_it_opened() -> None:
    """With an idle_s below silent_after_s both limits are passed together: closed is not before opened."""
    over = watch(settings(limits=Limits(idle_s=10.0)))
    over.process([wide(0, "a", START_S, (0.0, 0.0, 0.0))], 0.0)
    alerts = over.process([wide(1, "b", START_S + 100, (0.0, 0.0, 0.0))], 0.0).alerts
    assert [(a.data.state, a.time.timestamp()) for a in alerts] == [
        (AlertState.OPENED, START_S + 30),
        (AlertState.CLOSED, START_S + 30),
    ]


def test_what_gets_well_is_recovered() -> None:
    """A sensor back in its range, a score back to normal, an asset that sends again."""
    values = np.random.default_rng(1).normal(size=(100, 1, 3))
    values[20:40, 0, 1] += 15.0
    values[20:40, 0, 0] += 80.0
    records = feed(values)
    alerts = list(replay(watch(), records[:60] + records[92:], 7).alerts.values())
    recovered = [Condition.ANOMALY, Condition.OUT_OF_RANGE, Condition.SILENT]
    assert closed(alerts) == [(condition, CloseReason.RECOVERED) for condition in recovered]
    assert all(a.data.close_reason is None for a in alerts if a.data.state is not AlertState.CLOSED)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("stuck_rows", [None, 50])
def test_a_model_that_bears_longer_runs_makes_nothing_move(restarts: bool, stuck_rows: int | None) -> None:
    """A stuck sensor that the new version does not call stuck is closed as superseded, with the next row."""
    rows = [wide(t, "a", START_S + t, (0.1 * t, 0.2 * t, 7.0)) for t in range(20)]
    over, lenient = watch(), manifest(version="v2", stuck_rows=stuck_rows)
    replay(over, rows[:10], 5)
    if restarts:
        entries = dict(checkpoint.snapshot(over, 0, 10))
        over = watch(facts=lenient)
        checkpoint.restore(over, 0, entries, START_S)
    else:
        over.swap(FakeScorer(lenient))
    alerts = list(replay(over, rows[10:], 5).alerts.values())
    assert closed(alerts) == [(Condition.STUCK, CloseReason.SUPERSEDED_MODEL)]
    assert alerts[0].data.origin.last_offset == 10
    assert alerts[0].data.message == "a, s2: stuck alarm ends without recovery, m v2 does not judge it"


def test_a_sensor_that_a_restart_with_other_sensors_finds_stuck_stays_stuck() -> None:
    """Its run goes on under its name: it does not get well because the model has one sensor less."""
    rows = [wide(t, "a", START_S + t, (7.0, 0.2 * t, 0.1 * t)) for t in range(40)]
    over, fewer = watch(), watch(facts=manifest(sensors=2, version="v2"))
    replay(over, rows[:10], 5)
    checkpoint.restore(fewer, 0, dict(checkpoint.snapshot(over, 0, 10)), START_S)
    assert replay(fewer, rows[10:], 5).alerts == {}
    assert fewer.pipelines["m"].open_incidents(AlertKind.QUALITY) == 1


def test_a_limit_raised_by_a_reload_brings_no_sensor_back() -> None:
    """A sensor is still missing when missing_rows has grown: no longer judged, not recovered."""
    rows = [wide(t, "a", START_S + t, (0.1 * t, 0.2 * t, None if t >= 4 else 1.0)) for t in range(40)]
    over = watch()
    replay(over, rows[:20], 5)
    over.configure(WatchSettings.of(settings(alarms=Alarms(silent_after_s=30.0, missing_rows=100))))
    assert closed(list(replay(over, rows[20:], 5).alerts.values())) == [
        (Condition.MISSING, CloseReason.NO_LONGER_JUDGED)
    ]


@pytest.mark.parametrize(("rules", "reason"), [(OTHER, CloseReason.MOVED), (NONE, CloseReason.NO_LONGER_JUDGED)])
@pytest.mark.parametrize("restarts", [False, True])
def test_other_rules_close_what_was_open(rules: tuple[WatchRule, ...], reason: CloseReason, restarts: bool) -> None:
    """Whatever a reload or a restart takes from a model is closed by the next outcome, and is gone from the state."""
    config = settings(watch=(WatchRule(model="m"), WatchRule(model="n", assets=("none",))))
    over, changed = two_models(config), settings(watch=rules)
    opened = {a.data.incident: a for a in replay(over, broken(), 7).alerts.values()}
    assert len(opened) == 2
    entries = dict(checkpoint.snapshot(over, 0, 40))
    if restarts:
        over = two_models(changed)
        checkpoint.restore(over, 0, entries, START_S)
    else:
        over.configure(WatchSettings.of(changed))
        between = dict(checkpoint.snapshot(over, 0, 40))
        assert between[b"marker"] == entries[b"marker"], "a checkpoint before the closing loses nothing"
    alerts = over.process([], 0.0).alerts
    assert closed(alerts) == [(Condition.ANOMALY, reason), (Condition.OUT_OF_RANGE, reason)]
    assert {a.data.incident for a in alerts} == opened.keys()
    assert all(opened[a.data.incident].time <= a.time for a in alerts)
    assert over.changed(0)
    entries |= dict(checkpoint.snapshot(over, 0, 40))
    last = two_models(changed)
    checkpoint.restore(last, 0, entries, START_S)
    assert last.process([], 0.0).alerts == []


def test_a_full_member_takes_the_state_of_partitions_that_arrive() -> None:
    """`limits.max_assets` keeps new assets out, not those of a checkpoint: their incidents would vanish."""
    over = watch()
    replay(over, broken(), 7)
    entries = dict(checkpoint.snapshot(over, 0, 40))
    full = watch(settings(limits=Limits(max_assets=1)))
    full.process([wide(0, "b", START_S, (0.0, 0.0, 0.0), partition=1)], 0.0)
    checkpoint.restore(full, 0, entries, START_S)
    assert sum(full.pipelines["m"].open_incidents(kind) for kind in AlertKind) == 2
    full.process([wide(1, "c", START_S, (0.0, 0.0, 0.0), partition=1)], 0.0)
    assert sorted(name for _, name in full.pipelines["m"].assets.index) == ["a0", "b"]


def test_rows_that_are_not_scored_hold_no_score_above() -> None:
    """Two spikes with unfillable rows between them are no fault that lasted; the same spikes joined are one."""
    config = settings(alarms=Alarms(silent_after_s=30.0, on_delay_s=7.0))
    values = np.random.default_rng(1).normal(size=(60, 1, 3)) * 0.1
    values[20:30, 0, 1] = 20.0 + values[20:30, 0, 1]
    holes = values.copy()
    holes[21:27, 0, 1] -= 20.0
    holes[19:27, 0, [0, 2]] = np.nan
    assert replay(watch(config), feed(holes[:36]), 7).scores[0, 24] == (None, RowFlag.UNFILLABLE)
    for given, states in ((holes, []), (values, [AlertState.OPENED, AlertState.CLOSED])):
        alerts = replay(watch(config), feed(given), 7).alerts.values()
        assert [a.data.state for a in alerts if a.data.kind is AlertKind.PROCESS] == states
