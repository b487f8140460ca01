"""Control messages: asked by people, schedules and the daemon; answered by workers and daemons."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import Contract, Moment


class Trigger(StrEnum):
    """Who asked for a retraining."""

    DRIFT = "drift"
    SCHEDULE = "schedule"
    PERSON = "person"


class DriftFigure(Contract):
    """One signal that moved: its last block mean against the reference blocks."""

    signal: str = Field(description="'score' or a sensor's name")
    block_mean: float = Field(description="mean over the latest block")
    reference_mean: float = Field(description="mean of block means on normal data")
    z: float = Field(description="distance in standard deviations of reference block means; signed")


class RetrainRequest(Contract):
    """Asks a worker for a new model. The same cause gives the same id, so that a request is answered once."""

    type: Literal["retrain_request"] = "retrain_request"
    version: Literal[1] = 1
    id: str = Field(description="of the request; the same cause gives the same id")
    model: str = Field(description="the model's name")
    model_version: str | None = Field(description="the version complained of; null: whatever is current")
    trigger: Trigger = Field(description="who asks")
    at: Moment = Field(description="event time for drift, clock time for a schedule or a person")
    reason: str = Field(description="why, in words")
    figures: tuple[DriftFigure, ...] = Field(default=(), description="the signals that moved, where drift asks")


class ModelPublished(Contract):
    """A worker announces a version: daemons verify it and swap at a batch boundary."""

    type: Literal["model_published"] = "model_published"
    version: Literal[1] = 1
    id: str = Field(description="of the message")
    model: str = Field(description="the model's name")
    model_version: str = Field(description="the version to take up")
    manifest_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bundle's manifest.json")
    at: Moment = Field(description="clock time of the announcement")
    answers: str | None = Field(default=None, description="id of the retrain request")


class ModelRejected(Contract):
    """A worker kept a candidate but does not announce it for use, and says why."""

    type: Literal["model_rejected"] = "model_rejected"
    version: Literal[1] = 1
    id: str = Field(description="of the message")
    model: str = Field(description="the model's name")
    model_version: str | None = Field(description="the candidate that was kept; null when none could be made")
    at: Moment = Field(description="clock time of the decision")
    answers: str | None = Field(default=None, description="id of the retrain request")
    reason: str = Field(description="why it is not used, in words")


class MarkKind(StrEnum):
    """What a person says of an incident."""

    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    FALSE_POSITIVE = "false_positive"
    CONFIRMED = "confirmed"


class IncidentMark(Contract):
    """A person's word on an incident; false positives put data back into training, confirmed ones keep it out."""

    type: Literal["incident_mark"] = "incident_mark"
    version: Literal[1] = 1
    id: str = Field(description="of the message")
    incident: str = Field(description="id of the incident")
    mark: MarkKind = Field(description="what the person says")
    at: Moment = Field(description="clock time of the mark")
    until: Moment | None = Field(default=None, description="end of shelving")
    by: str = Field(default="", description="who said so")


Control = Annotated[RetrainRequest | ModelPublished | ModelRejected | IncidentMark, Field(discriminator="type")]
CONTROL: TypeAdapter[RetrainRequest | ModelPublished | ModelRejected | IncidentMark] = TypeAdapter(Control)
