"""`watchkeeper schema`: the contracts as JSON Schema, and the topics as an AsyncAPI document."""

import difflib
import json
from importlib.metadata import version
from typing import Annotated, Any

import typer

from detector.commands.options import JsonOption
from detector.commands.tables import print_table
from detector.errors import WatchkeeperError
from schemas.catalog import CATALOG, Entry
from schemas.documents import asyncapi
from schemas.documents.configuration import settings_table


def schema(
    name: Annotated[str | None, typer.Argument(help="A contract's name; without one they are listed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print the schemas of all contracts, by name.")] = False,
    topics: Annotated[bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3.0 document of all topics.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="With 'settings': as a table for people.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the JSON Schema (Draft 2020-12) of a message or file.

    Reads nothing and changes nothing. For example: watchkeeper schema alert > alert.schema.json
    """
    if sum((name is not None, everything, topics)) > 1:
        raise WatchkeeperError("more than one thing is asked for", "give a NAME, --all, or --asyncapi")
    if markdown and name != "settings":
        raise WatchkeeperError("--markdown is for the configuration only", "watchkeeper schema settings --markdown")
    if markdown:
        typer.echo(settings_table(), nl=False)
    elif topics:
        _print(asyncapi.build(version("watchkeeper")))
    elif everything:
        _print({entry.name: entry.json_schema() for entry in CATALOG.values()})
    elif name is not None:
        _print(_find(name).json_schema())
    elif as_json:
        _print([{"name": entry.name, "urn": entry.urn, "where": entry.where} for entry in CATALOG.values()])
    else:
        _list()


def _find(name: str) -> Entry:
    wanted = name.replace("-", "_").lower()
    if wanted in CATALOG:
        return CATALOG[wanted]
    close = difflib.get_close_matches(wanted, CATALOG, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are: {', '.join(CATALOG)}"
    raise WatchkeeperError(f"there is no contract {name[:80]!r}", remedy)


def _print(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _list() -> None:
    print_table([(entry.name, f"v{entry.version}", entry.where) for entry in CATALOG.values()])
    typer.echo("next: watchkeeper schema NAME, or watchkeeper schema --asyncapi for all topics")
