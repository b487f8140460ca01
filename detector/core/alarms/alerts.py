"""From an incident's event to an alert that explains itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from detector.core.alarms.incidents import Incident
from detector.core.arrays import Doubles, Floats
from schemas.alert import Alert, AlertData, AlertKind, AlertState, CloseReason, Condition, Evidence, Origin, Quality
from schemas.manifest import Sensor

COMPLETE = Quality(filled_share=0.0)


@dataclass(slots=True)
class Event:
    """One step of an incident's life; `then` is the incident as it stood at that row."""

    state: AlertState
    slot: int
    time_s: float
    then: Incident
    live: Incident  # keeps the evidence for the alerts that follow
    scored: int = -1  # index among the poll's scored rows; -1: none
    quality: Quality = COMPLETE
    reason: CloseReason = CloseReason.RECOVERED  # of a closing


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about, beside the incident."""

    asset: str
    topic: str
    partition: int
    model: str
    model_version: str
    threshold: float


def utc(seconds: float) -> datetime:
    """An event time as a datetime in UTC.

    >>> utc(1_700_000_000.5).isoformat()
    '2023-11-14T22:13:20.500000+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC)


def evidence(
    sensors: Sequence[Sensor],
    observed: Floats,
    expected: Floats,
    share: Doubles,
    most: int,
) -> list[Evidence]:
    """The strongest sensors at one row: observed, expected and share are (sensor,)."""
    strongest = np.argsort(-np.abs(share), kind="stable")[:most]
    return [
        Evidence(
            sensor=sensors[i].name,
            unit=sensors[i].unit,
            observed=None if np.isnan(observed[i]) else short(float(observed[i])),
            expected=short(float(expected[i])) if np.isfinite(expected[i]) else None,
            contribution=round(float(share[i]), 3),
        )
        for i in strongest
        if abs(share[i]) >= 0.0005
    ]


def short(value: float) -> float:
    """Six significant digits: more is noise to a reader and would differ between processors.

    >>> short(12.3456789)
    12.3457
    """
    return float(f"{value:.6g}")


def build(event: Event, subject: Subject) -> Alert:
    """The CloudEvent for an event."""
    then = event.then
    data = AlertData(
        incident=then.id,
        sequence=then.sequence,
        state=event.state,
        kind=then.kind,
        condition=then.condition,
        severity=then.severity,
        asset=subject.asset,
        start=utc(then.start_s),
        end=utc(event.time_s) if event.state is AlertState.CLOSED else None,
        close_reason=event.reason if event.state is AlertState.CLOSED else None,
        duration_s=round(max(event.time_s - then.start_s, 0.0), 3),
        score=short(then.score),
        peak_score=short(then.peak),
        threshold=short(subject.threshold),
        sensors=tuple(then.evidence),
        quality=event.quality,
        origin=Origin(
            topic=subject.topic,
            partition=subject.partition,
            first_offset=then.first_offset,
            last_offset=then.last_offset,
        ),
        model=subject.model,
        model_version=subject.model_version,
        message=_message(event, subject),
    )
    return Alert.model_validate(
        {
            "id": f"{then.id}.{then.sequence}",
            "source": f"/watchkeeper/{subject.model}",
            "type": f"watchkeeper.alert.{event.state.value}",
            "subject": subject.asset,
            "time": utc(event.time_s),
            "data": data,
        }
    )


def _message(event: Event, subject: Subject) -> str:
    then = event.then
    if event.state is AlertState.CLOSED and event.reason is not CloseReason.RECOVERED:
        return _unrecovered_message(event, subject)
    if then.kind is AlertKind.QUALITY:
        return _quality_message(event, subject.asset)
    if event.state is AlertState.CLOSED:
        return f"{subject.asset} is back to normal; the score peaked at {then.ratio:.1f} times the threshold"
    first = ", ".join(_reading(e) for e in then.evidence[:1])
    return f"{subject.asset} departs from normal ({then.ratio:.1f} times the threshold){': ' + first if first else ''}"


def _unrecovered_message(event: Event, subject: Subject) -> str:
    """Nothing got well: the message says what ended the alarm, and no more."""
    why = {
        CloseReason.FORGOTTEN: f"{subject.asset} is forgotten after limits.idle_s without a record",
        CloseReason.MOVED: f"{subject.asset} is watched elsewhere from here on",
        CloseReason.SUPERSEDED_MODEL: f"{subject.model} {subject.model_version} does not judge it",
        CloseReason.OUT_OF_SERVICE: f"{subject.asset} is out of service",
        CloseReason.NO_LONGER_JUDGED: "the configuration does not ask for it any more",
    }[event.reason]
    of = f", {event.then.sensor}" if event.then.sensor else ""
    return f"{subject.asset}{of}: {event.then.condition.value} alarm ends without recovery, {why}"


def _reading(item: Evidence) -> str:
    unit = f" {item.unit}" if item.unit else ""
    observed = "missing" if item.observed is None else f"{item.observed:.4g}{unit}"
    expected = "" if item.expected is None else f", expected {item.expected:.4g}{unit}"
    return f"{item.sensor} {observed}{expected}"


def _quality_message(event: Event, asset: str) -> str:
    then = event.then
    closed = event.state is AlertState.CLOSED
    sensor = then.sensor
    return {
        Condition.SILENT: f"{asset} sends again" if closed else f"{asset} sends nothing",
        Condition.STUCK: f"{sensor} of {asset} moves again" if closed else f"{sensor} of {asset} is stuck at one value",
        Condition.MISSING: f"{sensor} of {asset} is back" if closed else f"{sensor} of {asset} is missing",
        Condition.OUT_OF_RANGE: f"{sensor} of {asset} is {'back in' if closed else 'outside'} its range",
        Condition.ANOMALY: "",
    }[then.condition]
