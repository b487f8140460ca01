"""Incidents: the table is complete, and delays and hysteresis hold for any levels."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detector.core.alarms.incidents import _TABLE, Band, Incident, Phase, Rules, incident_id, step
from schemas.alert import AlertKind, AlertState, Condition, Severity

RULES = Rules(
    threshold=10.0, lower=8.0, on_delay_s=3.0, off_delay_s=4.0,
    update_every_s=1e9, major_factor=2.0, critical_factor=4.0,
)  # fmt: skip


def begin(time_s: float) -> Incident:
    return Incident(
        id="i", kind=AlertKind.PROCESS, condition=Condition.ANOMALY, sensor="", phase=Phase.PENDING, start_s=time_s,
        first_offset=0, last_s=time_s, last_offset=0, score=0.0, peak=0.0, ratio=0.0,
    )  # fmt: skip


def sent(levels: Sequence[float]) -> list[tuple[int, AlertState]]:
    """What is sent over levels one second apart."""
    incident, out = None, []
    for second, level in enumerate(levels):
        if incident is None and level > RULES.threshold:
            incident = begin(float(second))
        if incident is not None:
            state = step(incident, RULES, float(second), second, level)
            if state is not None:
                out.append((second, state))
            if incident.phase in (Phase.CLOSED, Phase.DROPPED):
                incident = None
    return out


def test_the_table_covers_every_phase_and_band() -> None:
    """No phase of a living incident lacks a rule for a level."""
    assert set(_TABLE) == {(p, b) for p in (Phase.PENDING, Phase.OPEN, Phase.CLOSING) for b in Band}


def test_shorter_than_the_on_delay_is_no_alarm() -> None:
    """Three seconds above, of which the third is the delay: it opens; two: it does not."""
    assert sent([0, 11, 11, 11, 0, 0]) == []
    assert sent([0, 11, 11, 11, 11, 0])[0] == (4, AlertState.OPENED)


def test_hysteresis_keeps_an_incident_open() -> None:
    """Between the thresholds it neither closes nor begins to."""
    assert sent([11] * 5 + [9] * 50) == [(3, AlertState.OPENED)]
    assert sent([11] * 5 + [7, 7, 7, 9] + [7] * 5)[-1] == (13, AlertState.CLOSED)


def test_a_rising_peak_is_an_update() -> None:
    """Severity rises with the peak and never falls."""
    incident = begin(0.0)
    states = [step(incident, RULES, float(t), t, level) for t, level in enumerate([11, 11, 11, 11, 21, 11, 41, 11])]
    assert states[3] is AlertState.OPENED
    assert (states[4], states[6]) == (AlertState.UPDATED, AlertState.UPDATED)
    assert incident.severity is Severity.CRITICAL


@given(st.lists(st.floats(0, 50), max_size=80))
def test_opened_and_closed_alternate(levels: list[float]) -> None:
    """Whatever the levels, an incident is opened before it is closed, and once each."""
    ends = [state for _, state in sent(levels) if state is not AlertState.UPDATED]
    assert all(a is not b for a, b in pairwise(ends))
    assert not ends or ends[0] is AlertState.OPENED


def test_ids_are_stable_and_apart() -> None:
    """The same coordinates give the same id; another asset, model or offset another."""
    first = incident_id("a", "m", "t", 0, 5)
    assert first == incident_id("a", "m", "t", 0, 5)
    assert len({first, incident_id("b", "m", "t", 0, 5), incident_id("a", "n", "t", 0, 5)}) == 3
    assert incident_id("a", "m", "t", 0, 6) != first


def test_time_without_a_score_is_not_held() -> None:
    """A score stands for its level no longer than `score_holds_s`: two rows ten seconds apart hold it for two."""
    rules, incident = replace(RULES, score_holds_s=2.0), begin(0.0)
    states = [step(incident, rules, time, 0, 11.0) for time in (0.0, 10.0, 10.5, 11.0)]
    assert states == [None, None, None, AlertState.OPENED]


def test_a_clock_that_was_set_back_delays_no_closing_and_no_update() -> None:
    """The off-delay and the pause between updates begin anew at the new time, not at the old one's return."""
    incident = begin(5000.0)
    for time in (5000.0, 5003.0):
        step(incident, RULES, time, 0, 11.0)
    step(incident, RULES, 5004.0, 0, 7.0)
    assert incident.phase is Phase.CLOSING
    assert [step(incident, RULES, time, 0, 7.0) for time in (100.0, 102.0, 104.0)] == [None, None, AlertState.CLOSED]
    updated = begin(5000.0)
    rules = replace(RULES, update_every_s=10.0)
    assert [step(updated, rules, time, 0, 11.0) for time in (5000.0, 5003.0, 100.0, 110.0)] == [
        None,
        AlertState.OPENED,
        None,
        AlertState.UPDATED,
    ]
