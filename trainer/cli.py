"""Adds the trainer's commands to `watchkeeper`; torch is imported by a command when it runs, not here."""

import typer

from trainer.commands.evaluate import evaluate
from trainer.commands.simulate import simulate


def register(app: typer.Typer) -> None:
    """Adds the trainer's commands."""
    app.command()(simulate)
    app.command()(evaluate)
