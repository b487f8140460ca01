"""The committed AsyncAPI document is current, and stands on its own as AsyncAPI 3.0."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.catalog import CATALOG
from schemas.config import Topics
from schemas.documents import asyncapi

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
GOLDEN = ROOT / "tests" / "golden" / "v1"
DOCUMENT = asyncapi.build(VERSION)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _resolve(reference: str) -> Any:
    assert reference.startswith("#/"), reference
    place: Any = DOCUMENT
    for part in reference[2:].split("/"):
        place = place[part]
    return place


def _payload_validator(schema: str, draft: type[Any]) -> Any:
    return draft(
        {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": DOCUMENT["components"]["schemas"]}}
    )


def test_the_committed_document_is_current() -> None:
    """docs/reference/asyncapi.json is what the models say today; `watchkeeper schema --asyncapi` writes it."""
    committed = json.loads((ROOT / "docs" / "reference" / "asyncapi.json").read_text(encoding="utf-8"))
    assert committed == DOCUMENT, "run: watchkeeper schema --asyncapi > docs/reference/asyncapi.json"


def test_the_required_parts_are_there() -> None:
    """Root, info, channels and operations have what the specification requires of them."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"] == VERSION
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert set(DOCUMENT) <= allowed
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= set(server)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert set(operation["channel"]) == {"$ref"}


def test_every_reference_resolves() -> None:
    """No `$ref` points outside the document or at nothing."""
    references = list(_references(DOCUMENT))
    assert len(references) > 20
    for reference in references:
        assert _resolve(reference), reference


def test_the_messages_of_an_operation_are_of_its_channel() -> None:
    """AsyncAPI 3 asks that an operation names messages through its own channel."""
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["messages"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


def test_every_topic_is_a_channel() -> None:
    """A topic that the configuration names is documented, under its default name."""
    assert {name: channel["address"] for name, channel in DOCUMENT["channels"].items()} == Topics().model_dump()


@pytest.mark.parametrize("draft", [jsonschema.Draft202012Validator, jsonschema.Draft7Validator])
def test_the_payload_schemas_are_valid_in_both_drafts(draft: type[Any]) -> None:
    """AsyncAPI reads schemas as Draft 7, other tools as Draft 2020-12: no word differs between them."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        draft.check_schema(schema)
        assert not {"prefixItems", "dependentRequired", "unevaluatedProperties", "$defs"} & set(_keys(schema)), name


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


@pytest.mark.parametrize("draft", [jsonschema.Draft202012Validator, jsonschema.Draft7Validator])
@pytest.mark.parametrize("name", sorted(set(CATALOG) & set(DOCUMENT["components"]["messages"]) - {"dead_letter"}))
def test_the_payload_schemas_take_the_golden_messages(name: str, draft: type[Any]) -> None:
    """What watchkeeper sends is what the document describes; an unknown key is not."""
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    reference = DOCUMENT["components"]["messages"][name]["payload"]["$ref"]
    validator = _payload_validator(reference.rsplit("/", 1)[-1], draft)
    validator.validate(document)
    assert not validator.is_valid({**document, "colour": "red"})


def test_the_feed_is_described_in_its_default_form() -> None:
    """A flat record is taken, a missing value is null, and a text where a number belongs is refused."""
    validator = _payload_validator("SensorRecord", jsonschema.Draft202012Validator)
    record = {"asset": "pump-1", "timestamp": 1772352000.0, "flow": 1.25, "pressure": None}
    assert validator.is_valid(record)
    assert not validator.is_valid({**record, "flow": "1.25"})
    assert not validator.is_valid({"timestamp": 1772352000.0, "flow": 1.25})


def test_dead_letters_carry_every_field_as_a_header() -> None:
    """The headers named in the document are the fields of the contract."""
    headers = DOCUMENT["components"]["messages"]["dead_letter"]["headers"]["properties"]
    assert set(headers) == {f"watchkeeper.{field}" for field in CATALOG["dead_letter"].model.model_fields}
