"""JSON: a msgspec type is built from the paths, so that a payload is parsed and checked in one pass.

Unknown fields are skipped by the parser. msgspec's messages name a type and a path, never a value. A document that it
refuses is read a second time by a tolerant parser: there a bad cell is missing, and the row lives.
"""

import functools
import itertools
import json
import math
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from detector.core.ingest.cells import read_cell
from detector.core.ingest.fields import ABSENT, Fields, Path, Rescued
from schemas.config import TimestampForm
from schemas.feed import CellFault, Reason

_BROKEN: Any = object()  # a path goes on where no object is
_Field = tuple[Path, Any, Any]  # path, type, default


class JsonParser:
    """Reads JSON objects. Raises ValueError where paths collide."""

    faults = (msgspec.MsgspecError, UnicodeError, RecursionError)  # half a surrogate pair cannot be encoded

    def __init__(self, fields: Fields, form: TimestampForm) -> None:
        moment = datetime if form is TimestampForm.ISO8601 else float
        head: list[_Field] = [(fields.timestamp, moment | msgspec.UnsetType, ABSENT)]
        if fields.asset is not None:
            head.insert(0, (fields.asset, str | int | msgspec.UnsetType, ABSENT))
        if fields.sensor is not None:
            head.append((fields.sensor, str | msgspec.UnsetType, ABSENT))
        cells: list[_Field] = [(path, float | None, math.nan) for path in fields.cells]
        self._fields, self._heads = fields, [path for path, _, _ in head]
        self._kind, getters = _record_type((*head, *cells))
        get = [operator.attrgetter(name) for name in getters[: len(head)]]
        self.asset: Callable[[Any], Any] | None = get.pop(0) if fields.asset is not None else None
        self.timestamp: Callable[[Any], Any] = get.pop(0)
        self.sensor: Callable[[Any], Any] | None = get.pop(0) if fields.sensor is not None else None
        self.cells = _tuple_getter(getters[len(head) :])
        self.parse: Callable[[bytes], Any] = msgspec.json.Decoder(self._kind).decode

    def rescue(self, payload: bytes) -> Rescued | None:
        """Only the configured fields of the document, with bad cells as null; msgspec's type checks the heads."""
        tree = read_object(payload)
        if tree is None:
            return None
        found = [value_at(tree, path) for path in self._fields.cells]
        if all(value is _BROKEN for value in found):
            return None  # not a bad cell: the feed has another shape
        clean: dict[str, Any] = {}
        for path in self._heads:
            value = value_at(tree, path)
            if value is not ABSENT and value is not _BROKEN:
                _put(clean, path, value)
        faults: list[tuple[int, CellFault]] = []
        for column, (path, value) in enumerate(zip(self._fields.cells, found, strict=True)):
            if value is ABSENT:
                continue
            number, fault = read_cell(value)
            _put(clean, path, number)
            if fault is not None:
                faults.append((column, fault))
        return Rescued(msgspec.convert(clean, self._kind), tuple(faults))

    def peek(self, payload: bytes) -> tuple[Any, Any]:
        """Asset and sensor, read by the tolerant parser."""
        tree = read_object(payload) or {}
        asset, sensor = self._fields.asset, self._fields.sensor
        return value_at(tree, asset) if asset else ABSENT, value_at(tree, sensor) if sensor else ABSENT

    def reason(self, fault: Exception) -> tuple[Reason, str]:
        """The reason code and the text of a fault, at most 200 characters."""
        if isinstance(fault, RecursionError):
            return Reason.NOT_JSON, "nested too deeply"
        if isinstance(fault, UnicodeError):
            return Reason.NOT_JSON, "not UTF-8"
        text = str(fault)[:200]
        if "out of range" in text:
            return Reason.NOT_FINITE, text
        return (Reason.WRONG_TYPE if isinstance(fault, msgspec.ValidationError) else Reason.NOT_JSON), text


def read_object(payload: bytes) -> dict[str, Any] | None:
    """A JSON object as a dict, NaN and Infinity allowed as Python's json writes them; None for anything else.

    >>> read_object(b'{"flow": NaN}'), read_object(b"[]")
    ({'flow': nan}, None)
    """
    try:
        tree = json.loads(payload.decode())
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def value_at(tree: dict[str, Any], path: Path) -> Any:
    """What lies at a path: ABSENT where a key is absent or a group null; a mark of its own where a group is no object.

    >>> value_at({"a": {"b": 1}}, ("a", "b")), value_at({"a": None}, ("a", "b")), value_at({"a": None}, ("a",))
    (1, UNSET, None)
    """
    here: Any = tree
    for key in path:
        if here is None or here is ABSENT:
            return ABSENT
        if not isinstance(here, dict):
            return _BROKEN
        here = here.get(key, ABSENT)
    return here


def _put(tree: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


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
