"""The alarms that scores would have raised: incidents of the detector's own machine, from one asset's scores alone.

On-delay, hysteresis, off-delay and what a gap does are the daemon's, so every method in a table is judged by the same
rules, and a threshold is calibrated on the alarms that people will get.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from detector.core.alarms.incidents import Phase, Rules, new_incident, walk
from detector.core.arrays import Bools, Doubles
from schemas.alert import AlertState, Condition
from schemas.config import Alarms

DAY_S = 86_400.0
_NEW_INCIDENT = partial(new_incident, "", Condition.ANOMALY, "")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm by rows: people hear of it at `opened`; `last` is the last row before it began to close."""

    opened: int
    last: int


def alarm_rules(threshold: float, lower: float, on_delay_s: float, off_delay_s: float) -> Rules:
    """The incident machine's rules for these thresholds and delays; severities play no part here.

    >>> alarm_rules(threshold=1.0, lower=0.8, on_delay_s=2.0, off_delay_s=3.0).on_delay_s
    2.0
    """
    alarms = Alarms()
    return Rules(
        threshold, lower, on_delay_s, off_delay_s, alarms.update_every_s, alarms.major_factor, alarms.critical_factor
    )


def gaps(times: Doubles, max_gap_s: float) -> Bools:
    """Rows (row,) before which rows are missing: more than `max_gap_s` after the row before. times: (row,) seconds.

    >>> gaps(np.array([0.0, 1.0, 60.0, 61.0]), max_gap_s=10.0).tolist()
    [False, False, True, False]
    """
    return np.asarray(np.diff(times, prepend=times[:1]) > max_gap_s)


def simulate_alarms(times: Doubles, scores: Doubles, by: Rules, reset_before: Bools | None = None) -> list[Alarm]:
    """The alarms of one asset's rows in order.

    times: (row,) seconds; scores: (row,), higher is more anomalous, NaN where the daemon gives none; reset_before:
    (row,) rows before which some are missing. As in the daemon, a gap ends what is not yet an alarm.

    >>> scores = np.array([0.0, 2.0, 2.0, 2.0, 2.0, 0.9, 0.0, 0.0, 0.0])
    >>> rules = alarm_rules(threshold=1.0, lower=0.8, on_delay_s=2.0, off_delay_s=2.0)
    >>> simulate_alarms(np.arange(9.0), scores, rules)
    [Alarm(opened=3, last=5)]
    >>> simulate_alarms(np.arange(9.0), scores, rules, reset_before=np.arange(9) == 2)
    [Alarm(opened=4, last=5)]
    """
    alarms: list[Alarm] = []
    broken = np.zeros(len(scores), bool) if reset_before is None else reset_before
    above = np.flatnonzero(scores > by.threshold)
    row = 0
    while (index := int(np.searchsorted(above, row))) < len(above):
        row, alarm = _follow(times, scores, by, broken, int(above[index]))
        alarms += [alarm] if alarm else []
    return alarms


def _follow(times: Doubles, scores: Doubles, by: Rules, broken: Bools, first: int) -> tuple[int, Alarm | None]:
    """An incident from its first row on: the row to go on with, and the alarm that it became."""
    incident, opened, last = None, -1, -1
    for row in range(first, len(scores)):
        time, score = float(times[row]), float(scores[row])
        incident, state = walk(incident, by, time, row, score, _NEW_INCIDENT, broken=bool(broken[row]))
        if incident is None:
            return row + 1, None
        if state is AlertState.OPENED:
            opened = row
        if incident.phase is Phase.OPEN:
            last = row
        if incident.is_over:
            return row + 1, Alarm(opened, last) if opened >= 0 else None
    return len(scores), Alarm(opened, last) if opened >= 0 else None
