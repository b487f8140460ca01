"""What a contract says of its fields, in words: the values it takes, their bounds, its default, its meaning."""

import json
import types
import typing
from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from schemas.base import Contract

_BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}"}
_KINDS: tuple[tuple[type, str], ...] = (
    (Contract, "object"),
    (str, "text"),
    (bool, "true or false"),
    (int, "integer"),
    (float, "number"),
    (datetime, "time"),
)


def summary(model: type[BaseModel]) -> str:
    """The model's docstring in one line."""
    return " ".join((model.__doc__ or "").split())


def meaning(field: FieldInfo) -> str:
    """Everything there is to say of a field: choices; bounds; description. Empty: it says nothing."""
    said = "; ".join(filter(None, [choices(field.annotation), bounds(field), field.description or ""]))
    return said.replace("|", "/")


def section(annotation: Any) -> type[Contract] | None:
    """The contract inside an annotation: X, X | None, tuple[X, ...] or dict[str, X]."""
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        return annotation
    if typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType):
        return next(filter(None, map(section, typing.get_args(annotation))), None)
    return None


def step(annotation: Any) -> str:
    """What stands between a section's name and its keys: nothing, an element, or a name of one's own."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(step, typing.get_args(annotation))), "")
    origin = typing.get_origin(annotation)
    return "[]" if origin is tuple else ".NAME" if origin is dict else ""


def choices(annotation: Any) -> str:
    """The values that are taken, where they can be listed."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " / ".join(f"`{each.value}`" for each in annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " / ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(choices, typing.get_args(annotation))), "")
    return "a secret" if annotation is SecretStr else ""


def bounds(field: FieldInfo) -> str:
    """The limits of a number, for example `> 0, ≤ 1`."""
    found = [text.format(f"{value:g}") for rule in field.metadata for name, text in _BOUNDS.items()
             if (value := getattr(rule, name, None)) is not None]  # fmt: skip
    return ", ".join(found)


def default(field: FieldInfo) -> str:
    """The default as it is written in a file."""
    if field.default_factory is not None:
        return "none"
    if field.is_required():
        return "required"
    if field.default is None:
        return "null"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{json.dumps(value, ensure_ascii=False, default=str)}`"


def kind(annotation: Any) -> str:
    """The type of a JSON value: text, number, integer, time, list, object; `or null` where there may be none."""
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = [kind(each) for each in arguments if each is not type(None)]
        return " or ".join(dict.fromkeys(inner + ["null"] * (type(None) in arguments)))
    if origin is typing.Annotated:
        return kind(arguments[0])
    if origin is tuple:
        return f"list of {_plural(kind(arguments[0]))}"
    if origin is dict:
        return f"object of {_plural(kind(arguments[1]))}"
    if origin is typing.Literal:
        return kind(type(arguments[0]))
    for types_, word in _KINDS:
        if isinstance(annotation, type) and issubclass(annotation, types_):
            return word
    raise TypeError(f"schemas.documents.fields has no word for {annotation!r}: add it to _KINDS")


def _plural(kind: str) -> str:
    first, *rest = kind.split(" ", maxsplit=1)
    return " ".join([f"{first}s", *rest])
