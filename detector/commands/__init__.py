"""One file a command; each holds a typer callback and nothing that another command needs."""

import typer

from detector.commands.alerts import alerts
from detector.commands.check import check
from detector.commands.models import app as models
from detector.commands.retrain import retrain
from detector.commands.run import run
from detector.commands.schema import schema
from detector.commands.serve import serve
from detector.commands.topics import topics


def register(app: typer.Typer) -> None:
    """Adds the detector's commands."""
    for command in (run, serve, alerts, retrain, check, topics, schema):
        app.command()(command)
    app.add_typer(models, name="models")
