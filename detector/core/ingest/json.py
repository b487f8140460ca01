"""JSON: a msgspec type is built from the paths, so that a payload is parsed and checked in one pass.

Unknown fields are skipped by the parser. msgspec's messages name a type and a path, never a value.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from detector.core.ingest.fields import ABSENT, Fields, Path
from schemas.config import TimestampForm
from schemas.feed import Reason

_Field = tuple[Path, Any, Any]  # path, type, default


class JsonParser:
    """Reads JSON objects. Raises ValueError where paths collide."""

    faults = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

    def __init__(self, fields: Fields, form: TimestampForm) -> None:
        moment = datetime if form is TimestampForm.ISO8601 else float
        head: list[_Field] = [(fields.timestamp, moment | msgspec.UnsetType, ABSENT)]
        if fields.asset is not None:
            head.insert(0, (fields.asset, str | int | msgspec.UnsetType, ABSENT))
        if fields.sensor is not None:
            head.append((fields.sensor, str | msgspec.UnsetType, ABSENT))
        cells: list[_Field] = [(path, float | None, math.nan) for path in fields.cells]
        kind, getters = _record_type((*head, *cells))
        get = [operator.attrgetter(name) for name in getters[: len(head)]]
        self.asset: Callable[[Any], Any] | None = get.pop(0) if fields.asset is not None else None
        self.timestamp: Callable[[Any], Any] = get.pop(0)
        self.sensor: Callable[[Any], Any] | None = get.pop(0) if fields.sensor is not None else None
        self.cells = _tuple_getter(getters[len(head) :])
        self.parse: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode

    def reason(self, fault: Exception) -> tuple[Reason, str]:
        """The reason code and the text of a fault, at most 200 characters."""
        if isinstance(fault, RecursionError):
            return Reason.NOT_JSON, "nested too deeply"
        if isinstance(fault, UnicodeDecodeError):
            return Reason.NOT_JSON, "not UTF-8"
        text = str(fault)[:200]
        if "out of range" in text:
            return Reason.NOT_FINITE, text
        return (Reason.WRONG_TYPE if isinstance(fault, msgspec.ValidationError) else Reason.NOT_JSON), text


@functools.lru_cache(maxsize=16)  # a swap to the same sensors makes no new type
def _record_type(fields: tuple[_Field, ...]) -> tuple[type, list[str]]:
    """A msgspec type for fields at nested paths, and the attribute path of each field."""
    counter = itertools.count()
    getters: dict[Path, str] = {}

    def build(fields_here: list[tuple[Path, Path, Any, Any]], attribute: str) -> type:
        members: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        groups: dict[str, list[tuple[Path, Path, Any, Any]]] = {}
        for full, path, kind, default in fields_here:
            if len(path) > 1:
                groups.setdefault(path[0], []).append((full, path[1:], kind, default))
                continue
            name = f"f{next(counter)}"
            rename[name] = path[0]
            members.append((name, kind, default))
            getters[full] = attribute + name
        if len({*rename.values(), *groups}) < len(rename) + len(groups):
            raise ValueError("two fields are read from one place of a record, or one from inside the other")
        for key, inner in groups.items():
            name = f"f{next(counter)}"
            rename[name] = key
            nested = build(inner, f"{attribute}{name}.")
            members.append((name, nested, msgspec.field(default_factory=nested)))
        return msgspec.defstruct("Record", members, rename=rename, gc=False)

    kind = build([(path, path, kind, default) for path, kind, default in dict.fromkeys(fields)], "")
    return kind, [getters[path] for path, _, _ in fields]


def _tuple_getter(names: list[str]) -> Callable[[Any], Any]:
    if len(names) == 1:
        single = operator.attrgetter(names[0])
        return lambda row: (single(row),)
    return operator.attrgetter(*names)
