"""`watchkeeper simulate`: data of a plant of pumps, with faults that are known."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from detector.config import load_settings
from detector.errors import ConfigError, DataError
from trainer.simulate.output import Pace, fixed_rate, open_lines, produce, rate_from, write_lines, write_parquet
from trainer.simulate.plant import Block, Simulation, latest_start, stream, truth
from trainer.simulate.scenario import STORY_DAYS, Scenario

PROGRESS_EVERY_S = 5.0


class _RecordCount:
    """Plain lines of progress on standard error; at most one every few seconds."""

    def __init__(self) -> None:
        self.records = 0
        self._due = time.monotonic() + PROGRESS_EVERY_S

    def more(self, records: int) -> None:
        """Counts records that went out."""
        self.records += records
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + PROGRESS_EVERY_S
            print(f"simulate: {self.records:,} records so far", file=sys.stderr)


def simulate(
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: NAME.jsonl, NAME.parquet, or - for JSON lines on standard output."),
    ] = None,
    assets: Annotated[int, typer.Option(min=1, max=1000, help="How many pumps.")] = 5,
    days: Annotated[
        float | None, typer.Option(min=0.01, max=3660, help=f"Length of the simulation [14; story: {STORY_DAYS:g}].")
    ] = None,
    period: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between an asset's records.")] = 60.0,
    scenario: Annotated[
        Scenario,
        typer.Option(
            help="clean: no faults. faults: wear, leak, stuck sensor, silence. drift: the air warms. story: all."
        ),
    ] = Scenario.CLEAN,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same plant.")] = 1,
    start: Annotated[
        str | None, typer.Option(help="First time, ISO 8601, UTC unless it says otherwise [so that the end is today].")
    ] = None,
    from_day: Annotated[float, typer.Option(min=0, help="Write from this day of the simulation on.")] = 0.0,
    to_day: Annotated[float | None, typer.Option(min=0, help="Write up to this day only.")] = None,
    truth_file: Annotated[Path | None, typer.Option("--truth", help="Write the injected faults here, as JSON.")] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Produce to the input topic of --config, keyed by asset.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration file (for --kafka).")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Records a second; 0 is as fast as it goes.")] = 0.0,
    rate_file: Annotated[
        Path | None, typer.Option(help="Read the rate from this file instead; it may change while records flow.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add to the JSON lines file instead of replacing it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Simulate a plant of pumps: coupled sensors, load cycles, weather, noise, and known faults.

    Records are flat JSON: {"asset": "pump-1", "timestamp": 1767571200.0, "flow": 140.2, ...}, ordered by time.

    Example: watchkeeper simulate --out history.parquet --days 14
    """
    if (out is None) == (not kafka):
        raise ConfigError("simulate needs one place to write to", "give either --out FILE or --kafka")
    span = days if days is not None else (STORY_DAYS if scenario is Scenario.STORY else 14.0)
    begin = _start(start, span)
    simulation = Simulation(scenario=scenario, assets=assets, days=span, period_s=period, seed=seed, start=begin)
    if truth_file is not None:
        _write_truth(truth_file, simulation)
    sent, pace = _RecordCount(), Pace(rate_from(rate_file) if rate_file else fixed_rate(rate))
    where = "the input topic" if kafka else str(out)
    print(
        f"simulate: {assets} pumps, {span:g} days from {begin:%Y-%m-%d %H:%M} UTC, "
        f"scenario {scenario}, seed {seed} -> {where}",
        file=sys.stderr,
    )
    begun = time.monotonic()
    blocks = stream(simulation, from_day, to_day)
    if out is None:
        produce(blocks, simulation.names, load_settings(config), pace, sent.more)
    elif out.suffix == ".parquet":
        if append or rate or rate_file:
            raise ConfigError("a Parquet file takes neither --append nor a rate", "write NAME.jsonl instead")
        _write_parquet(blocks, simulation.names, out, sent)
    else:
        with open_lines(out, append) as file:
            write_lines(blocks, simulation.names, file, pace, sent.more)
    figures = {"records": sent.records, "seconds": round(time.monotonic() - begun, 3), "faults": len(simulation.faults)}
    if as_json:
        print(json.dumps(figures), file=sys.stderr if str(out) == "-" else sys.stdout)
        return
    print(f"simulate: {sent.records:,} records in {figures['seconds']:.1f} s", file=sys.stderr)
    if out is not None and str(out) != "-":
        print(f"next: watchkeeper train --data {out} --help   (how to fit a model on it)", file=sys.stderr)


def _write_parquet(blocks: Iterator[Block], names: tuple[str, ...], out: Path, sent: _RecordCount) -> None:
    if not out.parent.is_dir():
        raise DataError(f"{out} cannot be written: {out.parent} is not a folder", "create it, or choose another")
    write_parquet(blocks, names, out, sent.more)


def _start(text: str | None, days: float) -> datetime:
    if text is None:
        return latest_start(days, datetime.now(UTC))
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start {text!r} is not an ISO 8601 time", "write it like 2026-01-05T00:00:00Z") from None
    return begin if begin.tzinfo else begin.replace(tzinfo=UTC)


def _write_truth(path: Path, simulation: Simulation) -> None:
    try:
        path.write_text(truth(simulation).model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({type(error).__name__})", "create its folder, or choose another"
        ) from None
