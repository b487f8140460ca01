"""Tables: fitted to a terminal's width, one line a row everywhere else. Nothing is ever cut off."""

import sys
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

_UNBOUNDED = 1_000_000  # columns; more than any row is wide


def print_table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> None:
    """Prints rows in columns to standard output. head: the columns' names; without it the rows stand alone.

    On a terminal a cell that is too wide goes on in the line below; in a pipe or a file each row is one line.
    """
    from rich.console import Console

    table = _table(rows, head)
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    plain = StringIO()
    Console(file=plain, width=_UNBOUNDED, color_system=None).print(table)
    for line in plain.getvalue().splitlines():
        typer.echo(line.rstrip())


def _table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=bool(head), header_style="bold")
    for column in range(max(len(head), *map(len, rows))):
        table.add_column(head[column] if head else "", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: brackets in a name are not a style
    return table
