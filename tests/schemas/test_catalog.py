"""The catalogue names every contract, and the JSON Schemas say what the models say."""

import json
from pathlib import Path

import jsonschema
import pytest

from schemas.catalog import CATALOG, DIALECT, Entry
from tests.support.old_keys import with_new_keys

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
ENTRIES = list(CATALOG.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_each_schema_is_valid_and_accepts_its_golden_file(entry: Entry) -> None:
    """The schema is a Draft 2020-12 schema and takes what the model takes; of a renamed key the new name alone."""
    schema = entry.json_schema()
    assert schema["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((GOLDEN / f"{entry.name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(with_new_keys(document))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_each_schema_refuses_what_its_model_refuses(entry: Entry) -> None:
    """An unknown key and a future version fail against the schema too, so other languages are as strict."""
    document = json.loads((GOLDEN / f"{entry.name}.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(entry.json_schema())
    assert not validator.is_valid({**document, "colour": "red"})
    versioned = document["data"] if entry.name == "alert" else document
    versioned["version"] = 2
    assert not validator.is_valid(document)


def test_the_schema_names_are_those_on_the_messages() -> None:
    """An alert's `dataschema` and a control message's `type` lead to the schema of that name."""
    alert = json.loads((GOLDEN / "alert.json").read_text(encoding="utf-8"))
    assert alert["dataschema"] == CATALOG["alert"].urn == CATALOG["alert"].json_schema()["$id"]
    for name in ("retrain_request", "model_published", "model_rejected", "incident_mark"):
        assert CATALOG[name].model.model_fields["type"].default == name
