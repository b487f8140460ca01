"""`watchkeeper check`: what would keep the daemon from running, and what to do about it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.daemon.preflight import run_checks
from detector.transports.package import CheckResult, Status


def check(
    config: ConfigOption = None,
    wait_s: Annotated[float, typer.Option("--wait-s", min=0.1, help="How long to wait for a broker, seconds.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Check configuration, models, broker, topics and rights; changes nothing.

    One line each: OK, WARN or FAIL with the remedy. Exit code 1 when something fails, 2 when the configuration
    itself cannot be read.
    """
    settings = load_settings(config)
    source = str(config) if config else "the defaults and the environment"
    found = [CheckResult(Status.OK, "configuration", f"{source}: every key is known and valid")]
    if not as_json:
        typer.echo(_line(found[0]))
    for result in run_checks(settings, wait_s):
        found.append(result)
        if not as_json:
            typer.echo(_line(result))
    failed = sum(result.status is Status.FAIL for result in found)
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in found], indent=1))
    else:
        typer.echo(_ending(failed, config))
    raise typer.Exit(1 if failed else 0)


def _line(result: CheckResult) -> str:
    remedy = f" -> {result.remedy}" if result.remedy else ""
    return f"{result.status:<4}  {result.subject}: {result.message}{remedy}"


def _ending(failed: int, config: Path | None) -> str:
    if failed:
        return f"{failed} of these would keep the daemon from its work; repair them from the top and check again."
    return "Nothing stands in the way. Next: watchkeeper run" + (f" --config {config}" if config else "")
