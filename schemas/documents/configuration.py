"""The configuration as a table for people, in Markdown, from the same models that read it."""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from schemas.base import Contract
from schemas.config import Settings
from schemas.documents import fields
from schemas.reload import Reload, reload_of

_HEAD = ("| key | default | reload | meaning |", "|---|---|---|---|")


def settings_table() -> str:
    """Every key of the configuration by its dotted name, with its default and its meaning, section by section."""
    lines = [
        "# Configuration",
        "",
        "Written by `watchkeeper schema settings --markdown`. `NAME` is a name of your own, `[]` any element.",
        "Every key may be set by a variable: `kafka.group` by `WATCHKEEPER_KAFKA__GROUP`.",
        "",
        "The column `reload` says what SIGHUP (`systemctl reload watchkeeper`) does with a key that has changed:",
        "`taken`, the daemon goes on with the new value; `restart`, the whole reload is refused and names the key;",
        "`-`, the daemon never reads it.",
    ]
    top = [(name, field) for name, field in Settings.model_fields.items() if fields.section(field.annotation) is None]
    lines += ["", "## Top level", "", fields.summary(Settings), "", *_HEAD]
    lines += [_row(name, field, Reload.RESTART) for name, field in top]
    for name, field in Settings.model_fields.items():
        model = fields.section(field.annotation)
        if model is not None:
            prefix = name + fields.step(field.annotation)
            lines += ["", f"## {name}", "", fields.summary(model), "", *_HEAD, *_rows(model, prefix, reload_of(field))]
    return "\n".join(lines) + "\n"


def undocumented() -> list[str]:
    """The keys that have no description."""
    keys = _keys(Settings, "", Reload.RESTART)
    return [key for key, field, _ in keys if not field.description and key != "version"]


def _keys(model: type[Contract], prefix: str, section: Reload) -> Iterator[tuple[str, FieldInfo, Reload]]:
    for name, field in model.model_fields.items():
        inner, reload = fields.section(field.annotation), reload_of(field, section)
        if inner is None:
            yield f"{prefix}{name}", field, reload
        else:
            yield from _keys(inner, f"{prefix}{name}{fields.step(field.annotation)}.", reload)


def _rows(model: type[Contract], prefix: str, section: Reload) -> Iterator[str]:
    for key, field, reload in _keys(model, f"{prefix}.", section):
        yield _row(key, field, reload)


def _row(key: str, field: FieldInfo, reload: Reload) -> str:
    return f"| `{key}` | {fields.default(field)} | {reload.value} | {fields.meaning(field)} |"
