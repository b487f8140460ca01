"""The configuration as a table for people, in Markdown, from the same models that read it."""

import json
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from schemas.base import Contract
from schemas.config import Settings

_BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}"}


def settings_table() -> str:
    """Every key of the configuration by its dotted name, with its default and its meaning, section by section."""
    lines = [
        "# Configuration reference",
        "",
        "Written by `watchkeeper schema settings --markdown`. `NAME` is a name of your own, `[]` any element.",
        "Every key may be set by a variable: `kafka.group` by `WATCHKEEPER_KAFKA__GROUP`.",
    ]
    top = [(name, field) for name, field in Settings.model_fields.items() if _inner(field.annotation) is None]
    lines += ["", "## Top level", "", _summary(Settings), "", *_HEAD, *(_row(name, field) for name, field in top)]
    for name, field in Settings.model_fields.items():
        model = _inner(field.annotation)
        if model is not None:
            prefix = name + _step(field.annotation)
            lines += ["", f"## {name}", "", _summary(model), "", *_HEAD, *_rows(model, prefix)]
    return "\n".join(lines) + "\n"


_HEAD = ("| key | default | meaning |", "|---|---|---|")


def _rows(model: type[Contract], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _inner(field.annotation)
        if inner is None:
            yield _row(f"{prefix}.{name}", field)
        else:
            yield from _rows(inner, f"{prefix}.{name}{_step(field.annotation)}")


def _row(key: str, field: FieldInfo) -> str:
    meaning = "; ".join(filter(None, [_choices(field.annotation), _bounds(field), field.description or ""]))
    return f"| `{key}` | {_default(field)} | {meaning.replace('|', '/')} |"


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _inner(annotation: Any) -> type[Contract] | None:
    """The section inside an annotation: X, X | None, tuple[X, ...] or dict[str, X]."""
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        return annotation
    if typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType):
        return next(filter(None, map(_inner, typing.get_args(annotation))), None)
    return None


def _step(annotation: Any) -> str:
    """What stands between a section's name and its keys: nothing, an element, or a name of one's own."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(_step, typing.get_args(annotation))), "")
    origin = typing.get_origin(annotation)
    return "[]" if origin is tuple else ".NAME" if origin is dict else ""


def _choices(annotation: Any) -> str:
    """The values that are taken, where they can be listed."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " / ".join(f"`{each.value}`" for each in annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " / ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(_choices, typing.get_args(annotation))), "")
    return "a secret" if annotation is SecretStr else ""


def _bounds(field: FieldInfo) -> str:
    found = [text.format(f"{value:g}") for rule in field.metadata for name, text in _BOUNDS.items()
             if (value := getattr(rule, name, None)) is not None]  # fmt: skip
    return ", ".join(found)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "none"
    if field.is_required():
        return "required"
    if field.default is None:
        return "null"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{json.dumps(value, ensure_ascii=False, default=str)}`"
