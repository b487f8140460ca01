"""`watchkeeper topics`: which topics there are, and creating those that are missing with the right settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.errors import ConfigError
from detector.transports.interface import Stream
from detector.transports.kafka.admin import Admin, TopicFacts, TopicOrder
from detector.transports.kafka.topics import Mismatch, mismatches, plan
from schemas.config import Settings


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One topic of the answer."""

    stream: Stream
    order: TopicOrder
    facts: TopicFacts | None  # null: it was not there
    mismatches: list[Mismatch]
    created: bool


def topics(
    config: ConfigOption = None,
    create: Annotated[
        bool, typer.Option("--create/--dry-run", help="Create what is missing, or only show what would be created.")
    ] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions where the input topic is made too; else the input's.")
    ] = None,
    replication: Annotated[int, typer.Option(min=-1, help="Copies of each partition; -1: the broker's default.")] = -1,
    wait_s: Annotated[float, typer.Option("--wait-s", min=0.1, help="How long to wait for a broker, seconds.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Show the topics that the daemon uses; with --create, make those that are missing.

    The state topic is compacted and has as many partitions as the input; the control topic has one partition and
    keeps a year. A topic that exists is never changed: where it differs, the line says how to repair it. Exit code 1
    when one differs in a way that would lose state.
    """
    settings = load_settings(config)
    if settings.transport == "files":
        raise ConfigError("the transport is 'files', which has no topics", "set transport: kafka")
    rows = _look_and_create(settings, create, partitions, replication, wait_s)
    typer.echo(json.dumps([_plain(row) for row in rows], indent=1) if as_json else _table(rows, config))
    raise typer.Exit(1 if any(mismatch.fatal for row in rows for mismatch in row.mismatches) else 0)


def _look_and_create(
    settings: Settings, create: bool, partitions: int | None, replication: int, wait_s: float
) -> list[TopicRow]:
    with Admin(settings.kafka, wait_s) as admin:
        orders = plan(settings, {})
        found = admin.describe(order.name for order in orders.values())
        orders = plan(settings, found, partitions, replication)
        missing = [order for order in orders.values() if order.name not in found]
        if create:
            admin.create(missing)
    return [_row(stream, order, found, settings, create) for stream, order in orders.items()]


def _row(
    stream: Stream, order: TopicOrder, found: Mapping[str, TopicFacts], settings: Settings, create: bool
) -> TopicRow:
    facts = found.get(order.name)
    wrong = mismatches(stream, facts, found, settings) if facts else []
    return TopicRow(stream, order, facts, wrong, created=create and facts is None)


def _table(rows: list[TopicRow], config: Path | None) -> str:
    lines = [_line(row) for row in rows]
    lines += [
        f"{row.order.name}: {mismatch.problem} -> {mismatch.remedy}" for row in rows for mismatch in row.mismatches
    ]
    option = f" --config {config}" if config else ""
    missing = sum(row.facts is None and not row.created for row in rows)
    if missing:
        lines.append(f"{missing} missing. Next: watchkeeper topics --create{option}")
    else:
        lines.append(f"All topics are there. Next: watchkeeper check{option}")
    return "\n".join(lines)


def _line(row: TopicRow) -> str:
    state = "created" if row.created else "missing" if row.facts is None else "exists"
    shown = row.order.partitions if row.facts is None else row.facts.partitions
    wanted = " ".join(f"{key}={value}" for key, value in _shown_settings(row).items())
    return f"{state:<8} {row.stream:<13} {row.order.name:<28} partitions={shown} {wanted}".rstrip()


def _shown_settings(row: TopicRow) -> dict[str, str]:
    """The settings that matter, as they are or as they would be."""
    if row.facts is None:
        return dict(row.order.settings)
    return {key: row.facts.settings[key] for key in row.order.settings if key in row.facts.settings}


def _plain(row: TopicRow) -> dict[str, Any]:
    return {
        "role": row.stream,
        "name": row.order.name,
        "exists": row.facts is not None or row.created,
        "created": row.created,
        "partitions": row.order.partitions if row.facts is None else row.facts.partitions,
        "settings": _shown_settings(row),
        "faults": [
            {"problem": mismatch.problem, "remedy": mismatch.remedy, "fatal": mismatch.fatal}
            for mismatch in row.mismatches
        ],
    }
