"""Alerts: what happened to an incident, as a CloudEvent (specification 1.0, structured JSON mode)."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Contract, Moment


class AlertState(StrEnum):
    """The step of an incident's life that an alert reports."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class AlertKind(StrEnum):
    """Process alarms speak of the plant, quality alarms of the feed; silence never closes a process alarm."""

    PROCESS = "process"
    QUALITY = "quality"


class Condition(StrEnum):
    """What an incident is about: one process condition, four of data quality."""

    ANOMALY = "anomaly"
    SILENT = "silent"
    STUCK = "stuck"
    OUT_OF_RANGE = "out_of_range"
    MISSING = "missing"


class CloseReason(StrEnum):
    """Why an incident was closed: only `recovered` says that anything got well."""

    RECOVERED = "recovered"  # the score fell, the sensor is right again, the asset sends again
    FORGOTTEN = "forgotten"  # the asset sent nothing for limits.idle_s
    MOVED = "moved"  # another rule's model has the asset, or it sends on another partition
    SUPERSEDED_MODEL = "superseded_model"  # the model's version in use does not judge this
    OUT_OF_SERVICE = "out_of_service"  # a person took the asset out of service; nothing gives it yet
    NO_LONGER_JUDGED = "no_longer_judged"  # the configuration names the asset no more, or has a wider limit


class Severity(StrEnum):
    """How far the peak stands above the threshold (the factors are configuration)."""

    WARNING = "warning"
    MAJOR = "major"
    CRITICAL = "critical"


class Evidence(Contract):
    """One sensor's part in an incident. `contribution` is its signed share of the score: + reads high, - reads low."""

    sensor: str = Field(description="the sensor's name")
    unit: str = Field(default="", description="its engineering unit")
    observed: float | None = Field(description="last value of the window, engineering units; null when missing")
    expected: float | None = Field(description="the model's reconstruction of it; null where no model was asked")
    contribution: float = Field(description="signed share of the score, -1 to 1; positive means higher than expected")


class Origin(Contract):
    """Where the incident's records lie, for an exact replay. Offsets are inclusive."""

    topic: str = Field(description="the input topic, or file")
    partition: int = Field(description="its partition; 0 of a file")
    first_offset: int = Field(description="first record of the incident")
    last_offset: int = Field(description="latest record so far")


class Quality(Contract):
    """How complete the data under the incident were."""

    filled_share: float = Field(ge=0, le=1, description="share of the window's cells that were missing and filled")
    missing_sensors: tuple[str, ...] = Field(default=(), description="sensors without a value at the last row")


class AlertData(Contract):
    """The payload of an alert. Times are event times (UTC) except for silence, which only a clock can see."""

    version: Literal[1] = 1
    incident: str = Field(description="stable id: the same records give the same id, also on a replay")
    sequence: int = Field(ge=0, description="0 for opened, then 1, 2, ... within the incident")
    state: AlertState = Field(description="the step of the incident's life")
    kind: AlertKind = Field(description="process: the plant departs from normal; quality: the feed does")
    condition: Condition = Field(description="what the incident is about; all but anomaly are of kind quality")
    severity: Severity = Field(
        description="how far the peak lies above the threshold (`alarms.major_factor`, `alarms.critical_factor`)"
    )
    asset: str = Field(description="the asset's name")
    start: Moment = Field(description="event time of the first record above the threshold")
    end: Moment | None = Field(default=None, description="event time of closing; null while open")
    close_reason: CloseReason | None = Field(
        default=None,
        description="why it was closed; only `recovered` says that anything got well; null while open, and in closings "
        "written before reasons were",
    )
    duration_s: float = Field(ge=0, description="from start to this event, seconds")
    score: float = Field(description="score at this event; higher is more anomalous")
    peak_score: float = Field(description="highest score of the incident so far")
    threshold: float = Field(description="scores above it are anomalous")
    sensors: tuple[Evidence, ...] = Field(description="strongest first")
    quality: Quality = Field(description="how complete the data under the incident were")
    origin: Origin = Field(description="where the incident's records lie")
    model: str | None = Field(description="null when no model was involved")
    model_version: str | None = Field(description="version of the bundle that gave the score")
    message: str = Field(description="one sentence for a person")


class Alert(Contract):
    """A CloudEvent: https://github.com/cloudevents/spec. `id` is incident.sequence, so duplicates share it."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="incident.sequence; a duplicate has the same id")
    source: str = Field(description="/watchkeeper/MODEL")
    type: Literal["watchkeeper.alert.opened", "watchkeeper.alert.updated", "watchkeeper.alert.closed"] = Field(
        description="the same step as in data.state"
    )
    subject: str = Field(description="the asset")
    time: Moment = Field(description="event time of this step")
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:watchkeeper:schema:alert:1"] = "urn:watchkeeper:schema:alert:1"
    data: AlertData = Field(description="the payload")
