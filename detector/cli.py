"""The `watchkeeper` command. The trainer adds its sub-commands through the entry-point group `watchkeeper.commands`."""

import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from detector.errors import WatchkeeperError

TRAINER_COMMANDS = ("train", "worker", "backtest", "evaluate", "simulate")

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
    show: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Keeps watch over sensor feeds."""


def _register() -> None:
    from detector.commands import register

    register(app)
    for point in entry_points(group="watchkeeper.commands"):
        try:
            point.load()(app)
        except ModuleNotFoundError:
            _register_missing()


def _register_missing() -> None:
    """Without the trainer's libraries its commands say how to get them."""
    for name in TRAINER_COMMANDS:

        def missing(name: str = name) -> None:
            raise WatchkeeperError(f"'watchkeeper {name}' needs the trainer", 'pip install "watchkeeper[trainer]"')

        app.command(
            name,
            help='Needs the trainer: pip install "watchkeeper[trainer]".',
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(lambda _missing=missing: _missing())


def main() -> None:
    """Runs a command; a fault is one line on standard error and an exit code that says whose it is."""
    _register()
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
