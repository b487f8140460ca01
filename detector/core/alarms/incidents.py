"""Incidents: from a level per row to opened, updated and closed, one machine for process and quality conditions.

The rule. A level above the threshold begins an incident, which stays silent while pending; held above for the
on-delay it opens (ISA-18.2 calls this the on-delay). An open incident that falls below the lower threshold begins to
close, and is closed when it has stayed below for the off-delay; any level not below the lower threshold keeps it
open (hysteresis). All times are event times, so a replay decides the same. While it is open an update is due when its
severity rises, and otherwise once in `update_every_s`.

    phase     above     between    below
    none      begin     -          -
    pending   hold      drop       drop
    open      stay      stay       leave
    closing   stay      stay       settle
"""

import hashlib
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
    told_s: float = 0.0  # event time of the last alert
    below_since_s: float = 0.0
    evidence: list[Evidence] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether an alert said 'opened' and none said 'closed'."""
        return self.phase in (Phase.OPEN, Phase.CLOSING)


def incident_id(asset: str, subject: str, topic: str, partition: int, first_offset: int) -> str:
    """The stable id: the same records give the same id. subject: the model's name, or condition and sensor."""
    text = "\x1f".join([asset, subject, topic, str(partition), str(first_offset)])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def step(incident: Incident, rules: Rules, time_s: float, offset: int, score: float) -> AlertState | None:
    """Moves an incident by one row; gives what to tell, if anything. A begun incident gets its first row here too."""
    incident.last_s, incident.last_offset, incident.score = time_s, offset, score
    incident.peak = max(incident.peak, score)
    incident.ratio = max(incident.ratio, score / rules.threshold)
    band = Band.ABOVE if score > rules.threshold else Band.BELOW if score < rules.lower else Band.BETWEEN
    return _TABLE[incident.phase, band](incident, rules, time_s)


def _hold(incident: Incident, rules: Rules, time_s: float) -> AlertState | None:
    if time_s - incident.start_s < rules.on_delay_s:
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
