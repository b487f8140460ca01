"""`watchkeeper topics`: which topics there are, and creating those that are missing with the right settings."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.commands.tables import print_table
from detector.config import load_settings
from detector.transports.package import TopicReport
from detector.transports.registry import transport_of


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
    rows = transport_of(settings).admin(
        settings, create=create, partitions=partitions, replication=replication, wait_s=wait_s
    )
    if as_json:
        typer.echo(json.dumps([_plain(row) for row in rows], indent=1))
    else:
        _print(rows, config)
    raise typer.Exit(1 if any(wrong.fatal for row in rows for wrong in row.mismatches) else 0)


def _print(rows: list[TopicReport], config: Path | None) -> None:
    print_table([_cells(row) for row in rows], ("state", "stream", "topic", "partitions", "settings"))
    for row in rows:
        for wrong in row.mismatches:
            typer.echo(f"{row.name}: {wrong.problem} -> {wrong.remedy}")
    option = f" --config {config}" if config else ""
    missing = sum(not row.exists for row in rows)
    if missing:
        typer.echo(f"{missing} missing. Next: watchkeeper topics --create{option}")
    else:
        typer.echo(f"All topics are there. Next: watchkeeper check{option}")


def _cells(row: TopicReport) -> tuple[str, ...]:
    state = "created" if row.created else "exists" if row.exists else "missing"
    settings = " ".join(f"{key}={value}" for key, value in row.settings.items())
    return state, row.stream, row.name, str(row.partitions), settings


def _plain(row: TopicReport) -> dict[str, Any]:
    return {
        "role": row.stream,
        "name": row.name,
        "exists": row.exists,
        "created": row.created,
        "partitions": row.partitions,
        "settings": dict(row.settings),
        "faults": [asdict(wrong) for wrong in row.mismatches],
    }
