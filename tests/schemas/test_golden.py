"""Every contract keeps reading the files that an earlier version wrote, and refuses what it cannot know.

`tests/golden/vN/NAME.json` is frozen once version N is released; a later optional field gets a file beside it,
`NAME.WHAT.json`.
"""

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas.catalog import CATALOG, Entry
from schemas.control import CONTROL
from schemas.training import Training
from tests.support.old_keys import OLD_KEYS

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/*.json"))
ENTRIES = list(CATALOG.values())


def _document(path: Path) -> dict[str, Any]:
    return typing.cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))


def _entry(path: Path) -> Entry:
    return CATALOG[path.name.split(".")[0]]


def _first_golden(entry: Entry) -> dict[str, Any]:
    return _document(GOLDEN / f"v{entry.version}" / f"{entry.name}.json")


def _holds(written: Any, read: Any, path: str = "") -> None:
    """Asserts that whatever stands in `written` stands unchanged in `read`, which may have more keys.

    A key that was renamed since stands under its new name.
    """
    if isinstance(written, dict):
        assert isinstance(read, dict), path
        for key, value in written.items():
            name = key if key in read else OLD_KEYS.get(key, key)
            assert name in read, f"{path}.{key} was lost"
            _holds(value, read[name], f"{path}.{key}")
    elif isinstance(written, list):
        assert isinstance(read, list), path
        assert len(written) == len(read), path
        for index, (one, other) in enumerate(zip(written, read, strict=True)):
            _holds(one, other, f"{path}[{index}]")
    else:
        assert written == read, path


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The contracts inside an annotation, however deep in tuples, mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (tuple, list, dict, typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _leaves_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields that a document of this contract may have; `*` for elements."""
    for name, field in model.model_fields.items():
        yield prefix + name
        container = typing.get_origin(field.annotation) in (tuple, dict) or "dict[" in str(field.annotation)
        for inner in _models_in(field.annotation):
            yield from _leaves_of(inner, f"{prefix}{name}.*." if container else f"{prefix}{name}.")


def _has(document: Any, path: list[str]) -> bool:
    if not path:
        return True
    head, *rest = path
    if head == "*":
        values = document.values() if isinstance(document, dict) else document or []
        return any(_has(value, rest) for value in values)
    return isinstance(document, dict) and head in document and _has(document[head], rest)


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_golden_file_is_read_and_written_unchanged(path: Path) -> None:
    """A file of a released version is accepted; no value is lost or changed on the way through the model."""
    entry, written = _entry(path), _document(path)
    read = entry.model.model_validate_json(path.read_bytes())
    _holds(written, read.model_dump(mode="json"))
    assert entry.model.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_the_golden_files_show_every_field(entry: Entry) -> None:
    """No field of a contract goes without an example that holds it in place."""
    documents = [_document(path) for path in FILES if _entry(path) is entry]
    absent = [leaf for leaf in _leaves_of(entry.model) if not any(_has(d, leaf.split(".")) for d in documents)]
    assert documents
    assert absent == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_an_unknown_key_is_refused_by_name(entry: Entry) -> None:
    """A key that the contract does not have is an error that names it, never dropped in silence."""
    with pytest.raises(ValidationError) as caught:
        entry.model.model_validate_json(json.dumps({**_first_golden(entry), "colour": "red"}))
    (fault,) = caught.value.errors(include_url=False)
    assert (fault["loc"], fault["type"]) == (("colour",), "extra_forbidden")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_a_future_version_is_refused_with_the_remedy(entry: Entry) -> None:
    """What a newer watchkeeper wrote is refused before anything is guessed, and the message says what to do."""
    document = _first_golden(entry)
    versioned = document["data"] if entry.name == "alert" else document
    versioned["version"] = entry.version + 1
    with pytest.raises(ValidationError) as caught:
        entry.model.model_validate_json(json.dumps(document))
    fault = caught.value.errors(include_url=False)[0]
    assert fault["loc"][-1] == "version"
    assert "version 2 is newer than this watchkeeper reads (1); upgrade watchkeeper" in fault["msg"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
def test_a_version_that_never_was_is_refused(entry: Entry, version: object) -> None:
    """Only the versions that exist are read; nothing is coerced into one."""
    document = _first_golden(entry)
    versioned = document["data"] if entry.name == "alert" else document
    versioned["version"] = version
    with pytest.raises(ValidationError):
        entry.model.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("name", ["retrain_request", "model_published", "model_rejected", "incident_mark"])
def test_the_control_topic_tells_its_messages_apart(name: str) -> None:
    """One reader takes all messages of the control topic and gives each its own contract."""
    document = _first_golden(CATALOG[name])
    assert type(CONTROL.validate_python(document)) is CATALOG[name].model
    assert document["type"] == name


@pytest.mark.parametrize(
    ("new", "old"), [("manifest.components", "manifest.sum"), ("settings.components", "settings.sum")]
)
def test_a_renamed_key_is_read_under_both_names(new: str, old: str) -> None:
    """`parts` of an earlier version is today's `components`: both files say the same."""
    first, second = (GOLDEN / "v1" / f"{name}.json" for name in (new, old))
    model = _entry(first).model
    assert model.model_validate_json(first.read_bytes()) == model.model_validate_json(second.read_bytes())


def test_a_key_under_both_its_names_is_refused() -> None:
    """Nobody has to guess which of the two counts."""
    both = {"score": "sum", "parts": [{"name": "values"}], "components": [{"name": "values"}]}
    with pytest.raises(ValidationError, match="parts is the old name of components"):
        Training.model_validate(both)
