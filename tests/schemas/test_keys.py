"""Every key of a document beside its contract: known, renamed, unknown, however deep and under whatever name."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from schemas.base import Contract
from schemas.keys import keys, renamed_keys


class Valve(Contract):
    """A section with a key that had two other names."""

    renamed: ClassVar[Mapping[str, str]] = {"lift": "stroke", "travel": "stroke"}

    stroke: float = 1.0


class Plant(Contract):
    """A contract with a section in every way that one can be held."""

    renamed: ClassVar[Mapping[str, str]] = {"main": "first"}

    first: Valve = Valve()
    spare: Valve | None = None
    row: tuple[Valve, ...] = ()
    named: dict[str, Valve] | None = None


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"first": {"stroke": 1}, "row": [{}]}, []),
        ({"main": {"lift": 1}}, [("main", "first"), ("main.lift", "stroke")]),
        ({"spare": {"travel": 1}}, [("spare.travel", "stroke")]),
        ({"row": [{"stroke": 1}, {"lift": 2}]}, [("row.1.lift", "stroke")]),
        ({"named": {"lift": {"lift": 1}}}, [("named.lift.lift", "stroke")]),
        ({"unknown": {"lift": 1}, 7: {"lift": 1}}, []),
        ([{"lift": 1}], []),
        ("lift", []),
    ],
)
def test_keys_of_before_are_found_wherever_they_stand(document: Any, found: list[tuple[str, str]]) -> None:
    """By their whole name, with the name of today; a name of one's own is never taken for a key."""
    assert [(key.dotted, key.today) for key in renamed_keys(document, Plant)] == found


def test_an_unknown_key_is_told_from_an_old_one() -> None:
    """An old name is known, and so is what stands below it."""
    document = {"main": {"lift": 1, "lifts": 2}, "mian": {}}
    assert [key.dotted for key in keys(document, Plant) if not key.is_known] == ["main.lifts", "mian"]
    assert Plant.model_validate({"main": {"lift": 3}}) == Plant(first=Valve(stroke=3))
