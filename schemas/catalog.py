"""The catalogue of contracts: every message and file by its name, and the JSON Schema of each (Draft 2020-12)."""

from dataclasses import dataclass
from typing import Any

from schemas.alert import Alert
from schemas.base import Contract
from schemas.config import Settings
from schemas.control import IncidentMark, ModelPublished, ModelRejected, RetrainRequest
from schemas.feed import DeadLetter, DeadLetterLine, RecordView, Scores
from schemas.manifest import Golden, Manifest, Pointer

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Entry:
    """One contract: its model, where it is met, and how many versions of it this program reads."""

    name: str
    model: type[Contract]
    where: str
    version: int = 1

    @property
    def urn(self) -> str:
        """The identifier that messages and schemas carry."""
        return f"urn:watchkeeper:schema:{self.name}:{self.version}"

    def json_schema(self) -> dict[str, Any]:
        """What a reader accepts, as a self-contained JSON Schema document."""
        return {"$schema": DIALECT, "$id": self.urn, **self.model.model_json_schema()}


_ENTRIES = (
    Entry("record", RecordView, "inside watchkeeper: a row of the feed after decoding"),
    Entry("scores", Scores, "topic or file 'scores': one message per asset and poll"),
    Entry("alert", Alert, "topic or file 'alerts': a CloudEvent for each step of an incident"),
    Entry("dead_letter", DeadLetter, "topic 'dead_letters', as headers beside the original bytes"),
    Entry("dead_letter_line", DeadLetterLine, "file 'dead_letters': the same with the original bytes in base64"),
    Entry("retrain_request", RetrainRequest, "topic or file 'control': asks a worker for a new model"),
    Entry("model_published", ModelPublished, "topic or file 'control': a version to take up"),
    Entry("model_rejected", ModelRejected, "topic or file 'control': a candidate that was not good enough"),
    Entry("incident_mark", IncidentMark, "topic or file 'control': a person's word on an incident"),
    Entry("manifest", Manifest, "model store: manifest.json of a bundle"),
    Entry("golden", Golden, "model store: golden.json of a bundle"),
    Entry("pointer", Pointer, "model store: the file 'current' of a model"),
    Entry("settings", Settings, "the configuration file"),
)
CATALOG = {entry.name: entry for entry in _ENTRIES}
