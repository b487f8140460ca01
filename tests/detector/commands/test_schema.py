"""`watchkeeper schema` prints every contract, and nothing else, so that its output can be piped into tools."""

import json
from pathlib import Path

import pytest

from detector.commands.schema import schema
from schemas.catalog import CATALOG
from tests.support.invoke import invoke

ROOT = Path(__file__).parents[3]


def test_without_a_name_the_contracts_are_listed() -> None:
    """Each by its name and where it is met, and what to type next."""
    ran = invoke(schema)
    assert [line.split()[0] for line in ran.lines[:-1]] == list(CATALOG)
    assert ran.lines[-1].startswith("next: watchkeeper schema")
    listed = json.loads(invoke(schema, "--json").out)
    assert [entry["name"] for entry in listed] == list(CATALOG)


@pytest.mark.parametrize("name", list(CATALOG))
def test_a_name_prints_its_json_schema(name: str) -> None:
    """The output is the schema and only the schema; a hyphen is as good as an underscore."""
    ran = invoke(schema, name)
    assert ran.code == 0
    assert json.loads(ran.out) == CATALOG[name].json_schema()
    assert invoke(schema, name.replace("_", "-")).out == ran.out


def test_all_prints_every_schema_by_name() -> None:
    """One document for those who generate code."""
    assert set(json.loads(invoke(schema, "--all").out)) == set(CATALOG)


def test_asyncapi_prints_the_committed_document() -> None:
    """The command that the test of docs/reference/asyncapi.json names as its remedy gives exactly that file."""
    assert invoke(schema, "--asyncapi").out == (ROOT / "docs" / "reference" / "asyncapi.json").read_text(
        encoding="utf-8"
    )


def test_the_configuration_reference_is_current() -> None:
    """docs/reference/configuration.md is what the models say today."""
    committed = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    command = "watchkeeper schema settings --markdown > docs/reference/configuration.md"
    assert invoke(schema, "settings", "--markdown").out == committed, f"run: {command}"
    assert invoke(schema, "alert", "--markdown").code == 1


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    """A slip of the pen is one line with the name that was probably meant."""
    ran = invoke(schema, "manifets")
    assert ran.code == 1
    assert "did you mean manifest?" in ran.err
    assert "there are: record, scores" in invoke(schema, "zzz").err


@pytest.mark.parametrize("arguments", [("alert", "--all"), ("--all", "--asyncapi"), ("alert", "--asyncapi")])
def test_two_wishes_at_once_are_refused(arguments: tuple[str, ...]) -> None:
    """Rather than printing one of them."""
    ran = invoke(schema, *arguments)
    assert (ran.code, ran.out) == (1, "")
