"""Incidents: from a level per row to opened, updated and closed, one machine for process and quality conditions.

The rule. A level above the threshold begins an incident, which stays silent while pending; held above for the
on-delay it opens (ISA-18.2 calls this the on-delay). An open incident that falls below the lower threshold begins to
close, and is closed when it has stayed below for the off-delay; any level not below the lower threshold keeps it
open (hysteresis). All times are event times, so a replay decides the same. What was not scored was not held: between
two scores of a pending incident no more than `score_holds_s` counts towards the on-delay. After a clock that was set
back the off-delay, and the pause between updates, begin anew. While it is open an update is due when its
severity rises, and otherwise once in `update_every_s`.

    phase     above     between    below
    none      begin     -          -
    pending   hold      drop       drop
    open      stay      stay       leave
    closing   stay      stay       settle
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from schemas.alert import AlertKind, AlertState, Condition, Evidence, Severity


class Phase(IntEnum):
    """Where an incident stands. CLOSED and DROPPED are left behind."""

    PENDING = 1
    OPEN = 2
    CLOSING = 3
    CLOSED = 4
    DROPPED = 5


_LIVING = (Phase.PENDING, Phase.OPEN, Phase.CLOSING)
_WITHOUT_SENSOR = (Condition.ANOMALY, Condition.SILENT)


class Band(IntEnum):
    """Where a level lies."""

    BELOW = 0
    BETWEEN = 1
    ABOVE = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """What an incident of one pipeline is judged by."""

    threshold: float
    lower: float
    on_delay_s: float
    off_delay_s: float
    update_every_s: float
    major_factor: float
    critical_factor: float
    score_holds_s: float = math.inf  # how long one score may stand for the level until the next

    def severity(self, ratio: float) -> Severity:
        """Severity of a peak, given as a multiple of the threshold."""
        if ratio >= self.critical_factor:
            return Severity.CRITICAL
        return Severity.MAJOR if ratio >= self.major_factor else Severity.WARNING


@dataclass(slots=True)
class Incident:
    """One condition of one asset. `sensor` is empty for a process anomaly and for silence."""

    id: str
    kind: AlertKind
    condition: Condition
    sensor: str
    phase: Phase
    start_s: float
    first_offset: int
    last_s: float
    last_offset: int
    score: float
    peak: float
    ratio: float  # peak / threshold at the time: survives a change of model
    severity: Severity = Severity.WARNING
    sequence: int = 0
    told_s: float = 0.0  # event time of the last alert; checkpoints have it by this name
    below_since_s: float = 0.0
    unscored_s: float = 0.0  # of the time since start_s, while pending
    evidence: list[Evidence] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether an 'opened' was sent for it, and no 'closed'."""
        return self.phase in (Phase.OPEN, Phase.CLOSING)

    @property
    def is_over(self) -> bool:
        """Whether no row can move it any more."""
        return self.phase in (Phase.CLOSED, Phase.DROPPED)

    def end(self, time_s: float, offset: int) -> None:
        """Closes it at once, without an off-delay."""
        self.phase, self.sequence = Phase.CLOSED, self.sequence + 1
        self.last_s, self.last_offset = time_s, offset


IncidentFactory = Callable[[int, Condition, str, float, int], Incident]  # of slot, condition, sensor, time and offset


def incident_id(asset: str, subject: str, topic: str, partition: int, first_offset: int) -> str:
    """The stable id: the same records give the same id. subject: the model's name, or condition and sensor.

    >>> incident_id("pump-1", "pumps", "sensors", 0, 42)
    '5ce65d9b7c5086465e01'
    """
    text = "\x1f".join([asset, subject, topic, str(partition), str(first_offset)])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def new_incident(id_: str, condition: Condition, sensor: str, time_s: float, offset: int) -> Incident:
    """An incident before its first row: `step` takes that row too."""
    kind = AlertKind.PROCESS if condition is Condition.ANOMALY else AlertKind.QUALITY
    return Incident(
        id=id_, kind=kind, condition=condition, sensor=sensor, phase=Phase.PENDING,
        start_s=time_s, first_offset=offset, last_s=time_s, last_offset=offset, score=0.0, peak=0.0, ratio=0.0,
    )  # fmt: skip


def walk(
    incident: Incident | None,
    rules: Rules,
    time_s: float,
    offset: int,
    score: float,
    make: Callable[[float, int], Incident],
    *,
    broken: bool = False,
) -> tuple[Incident | None, AlertState | None]:
    """One row of a condition: the incident that it leaves behind, None where there is none, and what to send.

    make: makes an incident of a row's time and offset; broken: rows are missing before this one, which ends what
    is not yet an alarm. A score of NaN moves nothing.

    >>> rules = Rules(10.0, 8.0, 1.0, 0.0, 3600.0, 2.0, 4.0)
    >>> incident, states = None, []
    >>> for second, score in enumerate([3.0, 11.0, 12.0, 9.0, 5.0]):
    ...     make = lambda time, offset: new_incident("id", Condition.ANOMALY, "", time, offset)
    ...     incident, state = walk(incident, rules, float(second), second, score, make)
    ...     states.append(state and state.value)
    >>> states
    [None, None, 'opened', None, 'closed']
    """
    if broken and incident is not None and incident.phase is Phase.PENDING:
        incident = None
    if math.isnan(score) or (incident is None and score <= rules.threshold):
        return incident, None
    if incident is None:
        incident = make(time_s, offset)
    return incident, step(incident, rules, time_s, offset, score)


def check(incident: Incident, latest_s: float) -> None:
    """Raises ValueError for what no step of an incident's life leaves behind."""
    times = (incident.start_s, incident.last_s, incident.told_s, incident.below_since_s)
    numbers = (incident.score, incident.peak, incident.ratio, incident.unscored_s)
    counts = (incident.first_offset + 1, incident.last_offset + 1, incident.sequence)
    if (
        not incident.unscored_s >= 0
        or not all(0 <= time < latest_s for time in times)
        or not all(map(math.isfinite, numbers))
    ):
        raise ValueError("the checkpoint has an incident at no moment, or with a score that is not a number")
    if incident.phase not in _LIVING or not all(0 <= count <= 2**62 for count in counts):
        raise ValueError("the checkpoint has an incident in a state that no incident rests in")
    if incident.phase is Phase.PENDING and incident.kind is AlertKind.QUALITY:
        raise ValueError("the checkpoint has a data-quality incident that waits, which none does")
    process, sensorless = incident.kind is AlertKind.PROCESS, incident.condition in _WITHOUT_SENSOR
    if process != (incident.condition is Condition.ANOMALY) or sensorless != (incident.sensor == ""):
        raise ValueError("the checkpoint has an incident whose kind, condition and sensor disagree")


def step(incident: Incident, rules: Rules, time_s: float, offset: int, score: float) -> AlertState | None:
    """Moves an incident by one row; gives what to send, if anything. A begun incident gets its first row here too."""
    if incident.phase is Phase.PENDING:
        incident.unscored_s += max(time_s - incident.last_s - rules.score_holds_s, 0.0)
    if time_s < incident.last_s:
        incident.below_since_s, incident.told_s = min(incident.below_since_s, time_s), min(incident.told_s, time_s)
    incident.last_s, incident.last_offset, incident.score = time_s, offset, score
    incident.peak = max(incident.peak, score)
    incident.ratio = max(incident.ratio, score / rules.threshold)
    band = Band.ABOVE if score > rules.threshold else Band.BELOW if score < rules.lower else Band.BETWEEN
    return _TABLE[incident.phase, band](incident, rules, time_s)


def _hold(incident: Incident, rules: Rules, time_s: float) -> AlertState | None:
    if time_s - incident.start_s - incident.unscored_s < rules.on_delay_s:
        return None
    incident.phase = Phase.OPEN
    incident.severity = rules.severity(incident.ratio)
    incident.told_s = time_s
    return AlertState.OPENED


def _drop(incident: Incident, _rules: Rules, _time_s: float) -> None:
    incident.phase = Phase.DROPPED


def _stay(incident: Incident, rules: Rules, time_s: float) -> AlertState | None:
    incident.phase = Phase.OPEN
    severity = rules.severity(incident.ratio)
    if severity is incident.severity and time_s - incident.told_s < rules.update_every_s:
        return None
    incident.severity = severity
    incident.told_s = time_s
    incident.sequence += 1
    return AlertState.UPDATED


def _leave(incident: Incident, rules: Rules, time_s: float) -> AlertState | None:
    incident.phase = Phase.CLOSING
    incident.below_since_s = time_s
    return _settle(incident, rules, time_s)


def _settle(incident: Incident, rules: Rules, time_s: float) -> AlertState | None:
    if time_s - incident.below_since_s < rules.off_delay_s:
        return None
    incident.phase = Phase.CLOSED
    incident.sequence += 1
    return AlertState.CLOSED


_TABLE: dict[tuple[Phase, Band], Callable[[Incident, Rules, float], AlertState | None]] = {
    (Phase.PENDING, Band.ABOVE): _hold,
    (Phase.PENDING, Band.BETWEEN): _drop,
    (Phase.PENDING, Band.BELOW): _drop,
    (Phase.OPEN, Band.ABOVE): _stay,
    (Phase.OPEN, Band.BETWEEN): _stay,
    (Phase.OPEN, Band.BELOW): _leave,
    (Phase.CLOSING, Band.ABOVE): _stay,
    (Phase.CLOSING, Band.BETWEEN): _stay,
    (Phase.CLOSING, Band.BELOW): _settle,
}
