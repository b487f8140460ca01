"""Adds the trainer's commands to `watchkeeper`; torch is imported by a command when it runs, not here."""

import typer

from trainer.commands.backtest import backtest
from trainer.commands.evaluate import evaluate
from trainer.commands.simulate import simulate
from trainer.commands.train import train
from trainer.commands.worker import worker


def register(app: typer.Typer) -> None:
    """Adds the trainer's commands."""
    for command in (train, worker, backtest, evaluate, simulate):
        app.command()(command)
