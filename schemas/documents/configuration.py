"""The configuration as a table for people, in Markdown, from the same models that read it."""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from schemas.base import Contract
from schemas.config import Settings
from schemas.documents import fields

_HEAD = ("| key | default | meaning |", "|---|---|---|")


def settings_table() -> str:
    """Every key of the configuration by its dotted name, with its default and its meaning, section by section."""
    lines = [
        "# Configuration",
        "",
        "Written by `watchkeeper schema settings --markdown`. `NAME` is a name of your own, `[]` any element.",
        "Every key may be set by a variable: `kafka.group` by `WATCHKEEPER_KAFKA__GROUP`.",
    ]
    top = [(name, field) for name, field in Settings.model_fields.items() if fields.section(field.annotation) is None]
    lines += ["", "## Top level", "", fields.summary(Settings), "", *_HEAD, *(_row(name, field) for name, field in top)]
    for name, field in Settings.model_fields.items():
        model = fields.section(field.annotation)
        if model is not None:
            prefix = name + fields.step(field.annotation)
            lines += ["", f"## {name}", "", fields.summary(model), "", *_HEAD, *_rows(model, prefix)]
    return "\n".join(lines) + "\n"


def undocumented() -> list[str]:
    """The keys that have no description."""
    return [key for key, field in _keys(Settings, "") if not field.description and key != "version"]


def _keys(model: type[Contract], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner, key = fields.section(field.annotation), f"{prefix}{name}{fields.step(field.annotation)}"
        if inner is None:
            yield f"{prefix}{name}", field
        else:
            yield from _keys(inner, f"{key}.")


def _rows(model: type[Contract], prefix: str) -> Iterator[str]:
    for key, field in _keys(model, f"{prefix}."):
        yield _row(key, field)


def _row(key: str, field: FieldInfo) -> str:
    return f"| `{key}` | {fields.default(field)} | {fields.meaning(field)} |"
