"""The demo's verdict: it is kept only when all that was promised happened."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.alert import Condition
from tests.trainer.demo.made_up import START, Happening, as_promised, make_observations, make_setup, without_swap
from trainer.demo.judge import Observations, judge


def _failures(observed: Observations) -> str:
    return " | ".join(judge(observed).failures)


def test_a_story_that_went_as_promised_is_kept(tmp_path: Path) -> None:
    """Every fault once and well named, no false alarm, and a new model that ends the alarms."""
    setup = make_setup(tmp_path)
    verdict = judge(make_observations(setup, as_promised(setup)))
    assert verdict.passed, verdict.failures
    assert verdict.clean.alarms == 0
    assert [outcome.delay for outcome in verdict.outcomes] == [timedelta(minutes=30)] * 4
    assert verdict.drifting.share_above > 0.9
    assert verdict.renewed.share_above < 0.01
    assert len(verdict.swaps) == 1


@pytest.mark.parametrize("number", range(4))
def test_a_fault_that_raised_no_alarm_breaks_the_promise(tmp_path: Path, number: int) -> None:
    """A missed one is named by kind and asset."""
    setup = make_setup(tmp_path)
    happenings = as_promised(setup)
    lost = happenings.pop(number)
    assert f"of {lost.asset} raised no alarm" in _failures(make_observations(setup, happenings))


def test_a_fault_alarmed_twice_breaks_the_promise(tmp_path: Path) -> None:
    """Chattering alarms are what operators switch off."""
    setup = make_setup(tmp_path)
    happenings = as_promised(setup)
    again = replace(happenings[0], opened=happenings[0].opened + timedelta(hours=2))
    assert "raised 2 alarm(s)" in _failures(make_observations(setup, [*happenings, again]))


def test_a_stuck_sensor_told_as_a_plant_alarm_breaks_the_promise(tmp_path: Path) -> None:
    """Data quality and process are two kinds of alarm."""
    setup = make_setup(tmp_path)
    happenings = as_promised(setup)
    happenings[2] = replace(happenings[2], condition=Condition.ANOMALY)
    assert "the stuck of pump-1 raised 1 alarm(s): anomaly" in _failures(make_observations(setup, happenings))


def test_the_right_sensor_must_be_among_the_first_three(tmp_path: Path) -> None:
    """An alarm that names the wrong sensors sends people to the wrong place."""
    setup = make_setup(tmp_path)
    happenings = as_promised(setup)
    happenings[0] = replace(happenings[0], sensors=("speed", "flow", "power", "vibration"))
    assert "the alarm on the wear of pump-2 names speed, flow, power" in _failures(make_observations(setup, happenings))


def test_too_many_false_alarms_break_the_promise(tmp_path: Path) -> None:
    """Ten in a fortnight on five pumps are one per asset and week; eleven are more."""
    setup = make_setup(tmp_path)
    begin = START + timedelta(days=15)
    false = [
        Happening("pump-1", Condition.ANOMALY, begin + timedelta(hours=h), begin + timedelta(hours=h + 1))
        for h in range(11)
    ]
    assert judge(make_observations(setup, as_promised(setup) + false[:10])).passed
    assert "1.10 false alarms" in _failures(make_observations(setup, as_promised(setup) + false))


def test_no_request_no_swap_and_another_process_break_the_promise(tmp_path: Path) -> None:
    """The second half of the story is judged as strictly as the first."""
    setup = make_setup(tmp_path)
    good = make_observations(setup, as_promised(setup))
    assert "no retrain request" in _failures(replace(good, requests=0))
    assert "did not live" in _failures(replace(good, same_process=False))
    assert "no new model" in _failures(without_swap(good))


def test_alarms_that_go_on_with_the_new_model_break_the_promise(tmp_path: Path) -> None:
    """A new model that alarms as much as the old one is no answer."""
    setup = make_setup(tmp_path)
    late = START + timedelta(days=setup.simulation.days - 2)
    more = [
        Happening("pump-5", Condition.ANOMALY, late + timedelta(hours=h), late + timedelta(hours=h + 1))
        for h in range(12)
    ]
    assert "alarm rate did not come back" in _failures(make_observations(setup, as_promised(setup) + more))


def test_a_record_without_a_score_breaks_the_promise(tmp_path: Path) -> None:
    """No record may be lost or passed over while the model is swapped."""
    setup = make_setup(tmp_path)
    good = make_observations(setup, as_promised(setup))
    assert "1 of" in _failures(replace(good, records=good.records + 1))
    good.scores.unscored = 2
    assert "2 of" in _failures(good)
