"""The AsyncAPI 3.0 document of all topics, built from the contracts: https://www.asyncapi.com/docs/reference.

Payloads use the default schema form of AsyncAPI, a superset of JSON Schema Draft 7. The contracts avoid the words
that Draft 7 and Draft 2020-12 read differently, so one schema serves both; a test holds them to it.
"""

from typing import Any

from pydantic.json_schema import models_json_schema

from schemas.catalog import CATALOG
from schemas.config import Feed, Kafka, Topics
from schemas.feed import DeadLetter

Document = dict[str, Any]

# channel -> (what it carries, who does what: "receive" is the daemon reading)
CHANNELS = {
    "input": ("The feed. Field paths are configuration (`feed`); this is the default, flat form.", "receive"),
    "alerts": ("What happened to incidents. Drop duplicates by `id`: delivery is at least once.", "send"),
    "scores": ("Packed scores; off unless `scores.emit` asks for them.", "send"),
    "dead_letters": ("Records that could not be read: original key, value and headers, and why.", "send"),
    "control": ("Retrain requests, announcements of models, people's marks on incidents.", "receive"),
    "state": ("Compacted checkpoints of the daemon's memory. Private to watchkeeper: do not read or write it.", "send"),
}
MESSAGES = {
    "input": ("sensor_record",),
    "alerts": ("alert",),
    "scores": ("scores",),
    "dead_letters": ("dead_letter",),
    "control": ("retrain_request", "model_published", "model_rejected", "incident_mark"),
    "state": ("checkpoint",),
}
_KEYS = {
    "sensor_record": "the asset: it keeps an asset's records in one partition, in order",
    "alert": "the asset",
    "scores": "the asset",
    "retrain_request": "the model",
    "model_published": "the model",
    "model_rejected": "the model",
}


def build(version: str) -> Document:
    """The document. version: of the application, that is the distribution's."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:watchkeeper",
        "info": {
            "title": "watchkeeper",
            "version": version,
            "description": "Anomaly detection on sensor feeds. Topic names are the defaults of `topics`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": Kafka().bootstrap_servers, "protocol": "kafka"}},
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {f"{action}_{name}": _operation(name, action) for name, (_, action) in CHANNELS.items()},
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(name: str) -> Document:
    return {
        "address": getattr(Topics(), name),
        "description": CHANNELS[name][0],
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in MESSAGES[name]},
    }


def _operation(name: str, action: str) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in MESSAGES[name]],
    }


def _messages() -> Document:
    found = {name: _message(name) for messages in MESSAGES.values() for name in messages}
    found["alert"]["contentType"] = "application/cloudevents+json"
    for name in ("dead_letter", "checkpoint"):  # their bytes are not ours to describe
        found[name].pop("payload")
        found[name]["contentType"] = "application/octet-stream"
    found["dead_letter"]["headers"] = _dead_letter_headers()
    return found


def _message(name: str) -> Document:
    schema = CATALOG[name].model.__name__ if name in CATALOG else "SensorRecord"
    message: Document = {"name": name, "payload": {"$ref": f"#/components/schemas/{schema}"}}
    if name in _KEYS:
        message["bindings"] = {"kafka": {"key": {"type": "string", "description": _KEYS[name]}}}
    return message


def _schemas() -> Document:
    names = [name for messages in MESSAGES.values() for name in messages if name in CATALOG and name != "dead_letter"]
    models = [(CATALOG[name].model, "validation") for name in names]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {**found["$defs"], "SensorRecord": _sensor_record()}


def _sensor_record() -> Document:
    """The feed's default form: flat and wide."""
    feed = Feed()
    return {
        "title": "SensorRecord",
        "description": "One row: an asset, a time, and a number for each sensor (null or absent: missing).",
        "type": "object",
        "properties": {
            feed.asset: {"type": "string", "minLength": 1},
            feed.timestamp: {"type": "number", "description": "event time, seconds since 1970-01-01 UTC"},
        },
        "required": [feed.asset, feed.timestamp],
        "additionalProperties": {"type": ["number", "null"]},
    }


def _dead_letter_headers() -> Document:
    """Kafka headers are text: every field of the contract is written out, beside the record's own headers."""
    names = [f"watchkeeper.{field}" for field in DeadLetter.model_fields]
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
