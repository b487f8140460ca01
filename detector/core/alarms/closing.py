"""Closing without recovery: incidents of what is forgotten, moved, or not judged any more.

The rule. An open incident that no row can close any more is closed at once, with its reason; a pending one was never
an alarm and goes without a word. The closing is dated by event time: at the asset's newest row, or at the moment that
a limit after it was passed, and never before the incident's own last alert.
"""

from dataclasses import replace

from detector.core.alarms.alerts import Event, Subject, build
from detector.core.alarms.incidents import Incident, check
from detector.core.ingest.fields import LATEST_S
from schemas.alert import Alert, AlertKind, AlertState, CloseReason


def close(slot: int, incident: Incident, reason: CloseReason, at_s: float) -> list[Event]:
    """The event that closes an incident, none where it is not open. at_s: event time of the decision; -inf: none.

    >>> from detector.core.alarms.incidents import Phase
    >>> from schemas.alert import Condition
    >>> silent = Incident("id", AlertKind.QUALITY, Condition.SILENT, "", Phase.OPEN, 9.0, 4, 9.0, 4, 1.0, 1.0, 1.0)
    >>> [(event.time_s, event.then.sequence) for event in close(0, silent, CloseReason.FORGOTTEN, 69.0)]
    [(69.0, 1)]
    """
    if not incident.is_open:
        return []
    time = max(at_s, incident.start_s, incident.told_s)
    incident.end(time, incident.last_offset)
    return [Event(AlertState.CLOSED, slot, time, replace(incident), incident, reason=reason)]


def close_restored(
    incident: Incident, reason: CloseReason, at_s: float, asset: str, topic: str, partition: int, model: tuple[str, str]
) -> list[Alert]:
    """The same for an incident of a checkpoint that no pipeline takes up. model: name and version that opened it.

    Raises ValueError for an impossible incident.
    """
    check(incident, LATEST_S)
    threshold = 1.0
    if incident.kind is AlertKind.PROCESS and incident.ratio > 0:
        threshold = incident.peak / incident.ratio
    subject = Subject(asset, topic, partition, *model, threshold)
    return [build(event, subject) for event in close(-1, incident, reason, at_s)]
