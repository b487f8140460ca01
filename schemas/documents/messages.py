"""Every message on a topic, field by field, in Markdown, from the models that write and read it."""

import inspect
import re
from collections.abc import Iterator
from enum import Enum

from schemas.alert import Alert, CloseReason
from schemas.base import Contract
from schemas.catalog import CATALOG
from schemas.documents import fields
from schemas.documents.asyncapi import CHANNELS, MESSAGES
from schemas.feed import Reason, RowFlag

_HEAD = ("| field | type | meaning |", "|---|---|---|")
_HERE = ("scores", "dead_letter", "dead_letter_line", "retrain_request", "model_published", "model_rejected",
         "incident_mark")  # fmt: skip


def alerts_page() -> str:
    """An alert with every field."""
    return _page(
        "Alerts",
        "An alert says what happened to an incident: it was opened, updated or closed. Alerts go to the topic or file "
        "`topics.alerts`, in order within an incident. [Follow alarms](../how-to/follow-alarms.md) shows them in a "
        "terminal; `watchkeeper schema alert` prints the JSON Schema.",
        *_table(Alert),
        *_members("Close reasons", CloseReason, "Why an incident was closed: `data.close_reason`.", "reason"),
    )


def messages_page() -> str:
    """The topics, and all other messages on them with every field."""
    lines: list[str] = []
    for name, (text, action) in CHANNELS.items():
        who = "reads" if action == "receive" else "writes"
        lines.append(f"| `topics.{name}` | {who} | {text} | {', '.join(f'`{each}`' for each in MESSAGES[name])} |")
    head = ("| topic | the daemon | what it carries | messages |", "|---|---|---|---|")
    sections: list[str] = []
    for name in _HERE:
        model = CATALOG[name].model
        sections += ["", f"## {name}", "", fields.summary(model), "", *_table(model)]
    return _page(
        "Topics and messages",
        "The same for programs: the [AsyncAPI 3.0 document](asyncapi.json) (`watchkeeper schema "
        "--asyncapi`), and a JSON Schema of each message (`watchkeeper schema NAME`). [Alerts](alerts.md) have a page "
        "of their own.",
        *head,
        *lines,
        *sections,
        *_members("Row flags", RowFlag, "What happened to a row: the bits of `flags` in `scores`.", "bit"),
        *_members(
            "Reasons of dead letters", Reason, "Why a record was set aside: `reason` in `dead_letter`.", "reason"
        ),
    )


def undocumented() -> list[str]:
    """The fields, as message.field, and the members of enumerations of which the pages say nothing."""
    found: list[str] = []
    for name in ("alert", *_HERE):
        found += [f"{name}.{line.split('`')[1]}" for line in _table(CATALOG[name].model) if line.endswith("|  |")]
    return found + [
        f"{kind.__name__}.{line}"
        for kind in (RowFlag, Reason, CloseReason)
        for line, text in _comments(kind)
        if not text
    ]


def _page(title: str, introduction: str, *lines: str) -> str:
    return (
        "\n".join([f"# {title}", "", "Written by `make reference` from `schemas/`.", introduction, "", *lines]) + "\n"
    )


def _table(model: type[Contract]) -> Iterator[str]:
    yield from _HEAD
    yield from _rows(model, "")


def _rows(model: type[Contract], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = fields.section(field.annotation)
        said = fields.meaning(field) or (fields.summary(inner) if inner else "")
        yield f"| `{key}` | {fields.kind(field.annotation)} | {said} |"
        if inner is not None:
            yield from _rows(inner, f"{key}{fields.step(field.annotation)}.")


def _members(title: str, kind: type[Enum], text: str, column: str) -> Iterator[str]:
    yield from ("", f"## {title}", "", text, "", f"| {column} | name | meaning |", "|---|---|---|")
    for name, said in _comments(kind):
        yield f"| `{kind[name].value}` | {name.lower()} | {said} |"


def _comments(kind: type[Enum]) -> list[tuple[str, str]]:
    """Each member's name and the comment behind it in the source, which is where its meaning stands."""
    lines = re.findall(r"^    (\w+) = [^#\n]+(?:#\s*(.*))?$", inspect.getsource(kind), flags=re.MULTILINE)
    return [(name, said) for name, said in lines if name in kind.__members__]
