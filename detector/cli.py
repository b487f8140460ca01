"""The `watchkeeper` command. The trainer adds its sub-commands through the entry-point group `watchkeeper.commands`."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from typing import Annotated

import typer

from detector.errors import WatchkeeperError

COMMANDS = "watchkeeper.commands"  # the entry-point group

_INSTALL = 'pip install "watchkeeper[trainer]"'

app = typer.Typer(
    name="watchkeeper",
    help="Keeps watch over sensor feeds: trains an autoencoder on normal data, scores live records, raises alarms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"watchkeeper {version('watchkeeper')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps watch over sensor feeds."""


def register(arguments: Sequence[str]) -> None:
    """Adds our commands, and of the trainer's the one that is asked for, or all: torch takes 600 MB and seconds."""
    from detector.commands import register as register_own

    register_own(app)
    asked = arguments[0] if arguments else ""
    points = {point.name: point for point in entry_points(group=COMMANDS)}
    if asked == "--version" or asked in _own_names():
        return
    for name, point in points.items():
        if find_spec("torch") is None:
            _stand_in(name)
        elif name == asked or asked not in points:
            app.command(name)(point.load())


def _own_names() -> set[str]:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return commands | {group.name for group in app.registered_groups if group.name}


def _stand_in(name: str) -> None:
    """A command that says what it needs."""
    from rich.markup import escape

    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    text = f"Needs the trainer: {escape(_INSTALL)}"  # typer's rich would take [trainer] for a style, and leave it out
    app.command(name, help=text, context_settings=settings)(_missing)


def _missing(context: typer.Context) -> None:
    """Stands in for a command of the trainer where its libraries are not installed."""
    raise WatchkeeperError(f"'watchkeeper {context.info_name}' needs the trainer", f"run: {_INSTALL}")


def main() -> None:
    """Runs a command; a fault is one line on standard error and an exit code that says whose it is."""
    # Read when numpy is loaded. Its threads wait for each other by turning round and round: beside a busy process the
    # product that a poll of 5,000 rows and 38 sensors needs took eight times as long with two of them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    register(sys.argv[1:])
    try:
        app()
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("watchkeeper: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
