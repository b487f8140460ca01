"""Running a command in this process, and seeing what a person would see."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from detector.errors import WatchkeeperError


@dataclass(frozen=True, slots=True)
class Ran:
    """What came out; a WatchkeeperError is its line and its exit code, as the command's main() makes of it."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output by lines."""
        return self.out.splitlines()


def invoke(command: typer.Typer | Callable[..., Any], *arguments: str | Path, stdin: str | None = None) -> Ran:
    """Runs a typer app, or one command as an app of its own. Any other exception is raised: it is a bug."""
    app = command if isinstance(command, typer.Typer) else _alone(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if isinstance(result.exception, WatchkeeperError):
        line = str(result.exception)
        assert "\n" not in line
        assert result.exception.remedy
        return Ran(result.exception.exit_code, result.stdout, result.stderr + line)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def _alone(command: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app
