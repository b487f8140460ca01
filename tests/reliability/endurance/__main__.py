"""`make endurance`: long runs of real daemons; each prints its figures and exits 1 when an aim is missed.

One by one: python -m tests.reliability.endurance stops | state | rolling | swaps | soak
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.speed.figures import Figure, conclude
from detector.errors import WatchkeeperError
from tests.reliability.endurance.restarts import much_state, stops
from tests.reliability.endurance.rolling import rolling
from tests.reliability.endurance.soak import soak
from tests.reliability.endurance.swaps import swaps

app = typer.Typer(add_completion=False, no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Figures as JSON on standard output.")]


@app.command(name="stops")
def _stops(count: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False) -> None:
    """SIGTERM to exit, and start to first score, under 2,000 records/s."""
    _end(stops(count), as_json)


@app.command(name="state")
def _state(
    assets: Annotated[int, typer.Option(min=1)] = 10_000, times: Annotated[int, typer.Option(min=1)] = 5,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Start to first score with the windows of many assets in the state."""
    _end(much_state(assets, times), as_json)


@app.command(name="rolling")
def _rolling(rounds: Annotated[int, typer.Option(min=1)] = 3, as_json: AsJson = False) -> None:
    """A rolling restart of three members under 2,000 records/s."""
    _end(rolling(rounds), as_json)


@app.command(name="swaps")
def _swaps(count: Annotated[int, typer.Option(min=1)] = 1000, as_json: AsJson = False) -> None:
    """Hot swaps under load."""
    _end(swaps(count), as_json)


@app.command(name="soak")
def _soak(
    minutes: Annotated[float, typer.Option(min=0.1)] = 30.0,
    picture: Annotated[Path | None, typer.Option(help="Where the picture goes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Mixed faults around one daemon that lives through them."""
    _end(soak(minutes, picture), as_json)


def _end(figures: list[Figure], as_json: bool) -> None:
    raise typer.Exit(conclude(figures, as_json))


def main() -> None:
    """Runs a command; a fault is one line."""
    try:
        app()
    except WatchkeeperError as error:
        sys.exit(f"endurance: {error}")


if __name__ == "__main__":
    main()
