"""What a running daemon does with a changed configuration: each field says it itself (schemas.config)."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from pydantic.fields import FieldInfo

from schemas.base import Contract


class Reload(StrEnum):
    """What SIGHUP does with a key that has changed."""

    TAKEN = "taken"  # the daemon goes on with the new value
    RESTART = "restart"  # the reload is refused: only a new process can take it up
    ELSEWHERE = "-"  # the daemon never reads it


def reload_of(field: FieldInfo, section: Reload = Reload.RESTART) -> Reload:
    """What a reload does with a field. section: what it does with the section that the field is in."""
    marks = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if section is Reload.ELSEWHERE or marks.get("daemon") is False:
        return Reload.ELSEWHERE
    return Reload.TAKEN if marks.get("reloadable") is True else Reload.RESTART


def fixed_changes(old: Contract, new: Contract, prefix: str = "") -> Iterator[str]:
    """Dotted names of the fields that differ and that a running daemon cannot take up.

    In a list of sections the order and number may change: what counts is which values a fixed field has in it.
    """
    for name, field in type(old).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if before == after or reload_of(field) is not Reload.RESTART:
            continue
        if isinstance(before, Contract) and isinstance(after, Contract):
            yield from fixed_changes(before, after, f"{prefix}{name}.")
        elif _are_sections(before) and _are_sections(after):
            yield from _fixed_in_list(before, after, f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}"


def _are_sections(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, Contract) for each in value)


def _fixed_in_list(old: Sequence[Contract], new: Sequence[Contract], prefix: str) -> Iterator[str]:
    for name, field in type(old[0]).model_fields.items():
        if reload_of(field) is Reload.RESTART and _values(old, name) != _values(new, name):
            yield f"{prefix}{name}"


def _values(sections: Sequence[Contract], name: str) -> set[Any]:
    return {getattr(section, name) for section in sections}
