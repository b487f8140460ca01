"""The simulated plant: deterministic, physical, and truthful about its faults."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from schemas.alert import Condition
from trainer.simulate.plant import Simulation, latest_start, stream, truth
from trainer.simulate.scenario import STORY_DAYS, Scenario, chapters, plan
from trainer.simulate.sensors import COLUMN, INSTRUMENTS, NAMES, sensor_settings

SHORT = Simulation(scenario=Scenario.FAULTS, assets=4, days=3.0, period_s=300.0, seed=7)


def _whole(simulation: Simulation, *span: float) -> np.ndarray:
    return np.concatenate([block.values for block in stream(simulation, *span)])


def _times(simulation: Simulation) -> np.ndarray:
    return np.concatenate([block.times for block in stream(simulation)]) - simulation.start.timestamp()


def test_the_same_seed_gives_the_same_plant_and_another_seed_another() -> None:
    """A story that is told twice must be the same story."""
    other = Simulation(scenario=Scenario.FAULTS, assets=4, days=3.0, period_s=300.0, seed=8)
    assert np.array_equal(_whole(SHORT), _whole(SHORT))
    assert not np.array_equal(_whole(SHORT), _whole(other))


def test_a_part_of_the_span_is_what_the_whole_span_gives_there() -> None:
    """Chapters that are fed one after the other join without a seam."""
    parts = [_whole(SHORT, 0.0, 1.5), _whole(SHORT, 1.5, 3.0)]
    assert np.array_equal(np.concatenate(parts), _whole(SHORT))


def test_values_stay_in_the_declared_ranges_also_after_the_warming() -> None:
    """No scenario may raise an out-of-range alarm that nobody injected."""
    values = _whole(Simulation(scenario=Scenario.STORY, days=STORY_DAYS, period_s=600.0))
    lows = np.array([i.low for i in INSTRUMENTS])
    highs = np.array([i.high for i in INSTRUMENTS])
    assert (values > lows).all()
    assert (values < highs).all()
    assert {name: (s.low, s.high) for name, s in sensor_settings().items()} == {
        i.name: (i.low, i.high) for i in INSTRUMENTS
    }


def test_sensors_are_coupled_as_physics_says() -> None:
    """Flow, pressure, power and current rise with speed; temperatures follow later."""
    values = _whole(Simulation(days=5.0))[:, 0, :]
    steps = np.corrcoef(np.diff(values[::20], axis=0).T)
    speed = steps[COLUMN["speed"]]
    for name in ("flow", "discharge_pressure", "power", "current"):
        assert speed[COLUMN[name]] > 0.8, name
    assert speed[COLUMN["vibration"]] > 0.3
    assert speed[COLUMN["suction_pressure"]] < 0
    motor, power = values[:, COLUMN["motor_temperature"]], values[:, COLUMN["power"]]
    lags = [np.corrcoef(power[: len(power) - lag], motor[lag:])[0, 1] for lag in (0, 40)]
    assert lags[1] > lags[0] + 0.03


def test_assets_are_alike_but_not_the_same() -> None:
    """One model can watch the fleet, and must bear small differences."""
    flow = _whole(Simulation(days=7.0))[:, :, COLUMN["flow"]].mean(axis=0)
    assert 0.001 < flow.std() / flow.mean() < 0.03


def test_each_fault_shows_in_its_sensors_and_nowhere_else() -> None:
    """The truth file names the sensors that show a fault; a clean twin of the plant proves it."""
    clean = Simulation(assets=4, days=3.0, period_s=300.0, seed=7)
    difference = np.abs(_whole(SHORT) - _whole(clean)).max(axis=0)  # (asset, sensor)
    noise = np.array([i.noise for i in INSTRUMENTS])
    assert (difference[1] / noise)[[COLUMN["vibration"], COLUMN["bearing_temperature"]]].min() > 30
    assert np.flatnonzero(difference[3]).tolist() == [COLUMN["flow"]]
    assert difference[3, COLUMN["flow"]] / noise[COLUMN["flow"]] > 10
    assert np.flatnonzero(difference[0]).tolist() == [COLUMN["discharge_pressure"]]
    assert not difference[2].any()
    assert not difference[1, COLUMN["ambient"]]


def test_a_stuck_sensor_repeats_one_value_for_the_whole_fault() -> None:
    """Also over midnight and over a seam between chapters."""
    fault = SHORT.faults[2]
    times, column = _times(SHORT), COLUMN["discharge_pressure"]
    inside = (times >= fault.start_s) & (times < fault.end_s)
    assert inside.sum() > 50
    assert len(set(_whole(SHORT)[inside, 0, column])) == 1


def test_a_silent_asset_sends_nothing_while_the_others_go_on() -> None:
    """Silence is a lack of records, not of values."""
    fault = SHORT.faults[3]
    sent = np.concatenate([block.sent for block in stream(SHORT)])
    times = _times(SHORT)
    inside = (times >= fault.start_s) & (times < fault.end_s)
    assert inside.any()
    assert not sent[inside, 2].any()
    assert sent[~inside, 2].all()
    assert sent[:, [0, 1, 3]].all()


def test_warming_moves_the_air_of_every_asset_and_stays() -> None:
    """The plant-wide change is a new normal, not a fault of one asset."""
    warm, usual = Simulation(scenario=Scenario.DRIFT, days=10.0, period_s=600.0), Simulation(days=10.0, period_s=600.0)
    gap = (_whole(warm) - _whole(usual))[..., COLUMN["ambient"]]
    assert np.abs(gap[: 3 * 144]).max() < 1e-9
    assert (gap[-144:] > 19.9).all()
    assert np.ptp(gap[-1]) < 0.01


def test_the_truth_names_every_fault_with_its_condition() -> None:
    """What a watch is measured against is written down before it runs."""
    written = truth(SHORT)
    assert [fault.condition for fault in written.faults] == [
        Condition.ANOMALY, Condition.ANOMALY, Condition.STUCK, Condition.SILENT,
    ]  # fmt: skip
    assert [fault.asset for fault in written.faults] == ["pump-2", "pump-4", "pump-1", "pump-3"]
    assert written.faults[0].start == SHORT.start + timedelta(seconds=SHORT.faults[0].start_s)
    assert type(written).model_validate_json(written.model_dump_json()) == written


def test_the_story_keeps_faults_and_warming_in_their_chapters() -> None:
    """History and the clean fortnight hold no fault."""
    parts = chapters(STORY_DAYS)
    faults = plan(Scenario.STORY, 5, STORY_DAYS)
    assert parts["history"].days == parts["clean"].days == 14.0
    assert parts["drift"].end == pytest.approx(STORY_DAYS)
    starts = [fault.start_s / 86400 for fault in faults]
    assert all(parts["faults"].start < at < parts["faults"].end for at in starts[:4])
    assert starts[4] == pytest.approx(parts["drift"].start)
    assert len({fault.asset for fault in faults[:4]}) == 4


def test_history_ends_before_now_and_begins_at_midnight() -> None:
    """A record from the future would be refused by the daemon."""
    now = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    begin = latest_start(14.0, now)
    assert (begin.hour, begin.minute) == (0, 0)
    assert timedelta(0) <= now - (begin + timedelta(days=14)) < timedelta(days=1)


def test_records_are_in_order_of_time_and_complete() -> None:
    """Every asset sends every period, and no time comes twice."""
    blocks = list(stream(Simulation(assets=2, days=2.5, period_s=7.0)))
    times = np.concatenate([block.times for block in blocks])
    assert np.allclose(np.diff(times), 7.0)
    assert sum(block.records for block in blocks) == 2 * len(times)
    assert len(NAMES) == len(set(NAMES)) == 10
