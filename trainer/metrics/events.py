"""What a person on call would have got: alarms as the daemon raises them, held against the labelled events.

An event is a run of anomalous rows. An alarm is an incident of the detector's own machine (on-delay, hysteresis,
off-delay), made from a method's scores alone, so that every method in a table is judged by the same rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core.alarms.incidents import Incident, Phase, Rules, step
from detector.core.arrays import Bools, Doubles
from schemas.alert import AlertKind, AlertState, Condition
from schemas.config import Alarms

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm by rows: told at `opened`; `last` is the last row before it began to close."""

    opened: int
    last: int


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after an event's first row its alarm was told; 0 where one was open already."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Alarms against events; addable over series by joining the delays."""

    events: int
    alarms: int
    true_alarms: int  # alarms that overlap an event
    delays: tuple[Delay, ...]  # of the events that were found

    def __add__(self, other: "EventCounts") -> "EventCounts":
        return EventCounts(
            self.events + other.events,
            self.alarms + other.alarms,
            self.true_alarms + other.true_alarms,
            self.delays + other.delays,
        )

    @property
    def recall(self) -> float | None:
        """Share of events with an alarm; None without an event."""
        return len(self.delays) / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        """Share of alarms that overlap an event; None without an alarm."""
        return self.true_alarms / self.alarms if self.alarms else None

    @property
    def delay(self) -> Delay | None:
        """The median over found events; None where none was found."""
        if not self.delays:
            return None
        rows = float(np.median([delay.rows for delay in self.delays]))
        return Delay(round(rows), float(np.median([delay.seconds for delay in self.delays])))


def alarm_rules(threshold: float, lower: float, on_delay_s: float, off_delay_s: float) -> Rules:
    """The incident machine's rules; severities play no part here."""
    alarms = Alarms()
    return Rules(
        threshold, lower, on_delay_s, off_delay_s, alarms.update_every_s, alarms.major_factor, alarms.critical_factor
    )


def simulate_alarms(times: Doubles, scores: Doubles, by: Rules, reset_before: Bools | None = None) -> list[Alarm]:
    """The alarms of one asset's rows in order, (row,) each; times in seconds.

    reset_before: rows before which some are missing: as in the daemon, a gap ends what was not yet an alarm.
    """
    alarms: list[Alarm] = []
    broken = np.zeros(len(scores), bool) if reset_before is None else reset_before
    above = np.flatnonzero(scores > by.threshold)
    row = 0
    while (place := int(np.searchsorted(above, row))) < len(above):
        row, alarm = _followed(times, scores, by, broken, int(above[place]))
        alarms += [alarm] if alarm else []
    return alarms


def _followed(times: Doubles, scores: Doubles, by: Rules, broken: Bools, first: int) -> tuple[int, Alarm | None]:
    """An incident from its first row on: the row to go on with, and the alarm that it became."""
    incident, opened, last = _begin(float(times[first]), first), -1, -1
    for row in range(first, len(scores)):
        if incident.phase is Phase.PENDING and row > first and broken[row]:
            return row, None
        if step(incident, by, float(times[row]), row, float(scores[row])) is AlertState.OPENED:
            opened = row
        if incident.phase is Phase.OPEN:
            last = row
        if incident.phase is Phase.CLOSED:
            return row + 1, Alarm(opened, last)
        if incident.phase is Phase.DROPPED:
            return row + 1, None
    return len(scores), Alarm(opened, last) if incident.is_open else None


def spans(labels: Bools) -> list[tuple[int, int]]:
    """First and last row of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, labels, False]))
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def match(labels: Bools, times: Doubles, alarms: Sequence[Alarm]) -> EventCounts:
    """Alarms against the events of (row,) labels: they meet where they share a row."""
    events = spans(labels)
    delays = []
    for begin, end in events:
        met = [alarm for alarm in alarms if alarm.opened <= end and alarm.last >= begin]
        if met:
            told = max(met[0].opened, begin)
            delays.append(Delay(told - begin, float(times[told] - times[begin])))
    true = sum(any(alarm.opened <= end and alarm.last >= begin for begin, end in events) for alarm in alarms)
    return EventCounts(len(events), len(alarms), true, tuple(delays))


def _begin(time: float, row: int) -> Incident:
    return Incident(
        id="", kind=AlertKind.PROCESS, condition=Condition.ANOMALY, sensor="", phase=Phase.PENDING,
        start_s=time, first_offset=row, last_s=time, last_offset=row, score=0.0, peak=0.0, ratio=0.0,
    )  # fmt: skip
