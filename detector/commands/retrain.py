"""`watchkeeper retrain`: a person asks for a new model, with the same message that drift and schedules send."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from detector.commands.chosen import chosen_model
from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.transports.control import send_control
from schemas.control import RetrainRequest, Trigger


def retrain(
    model: Annotated[
        str | None, typer.Argument(help="Name of the model; may be left out when only one is used.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the new model's record.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a worker to train a new version of a model from recent history.

    Sends one request to the control topic (or file) and returns; a running `watchkeeper worker` answers it. The model
    in use stays until the new one has passed the worker's gate and the daemon's checks.
    """
    settings = load_settings(config)
    request = _request(chosen_model(settings, model), reason, datetime.now(UTC))
    if not as_json:
        typer.echo(f"asking for a new version of {request.model} on {settings.topics.control}")
    send_control(settings, request)
    if as_json:
        typer.echo(request.model_dump_json())
        return
    typer.echo(f"request {request.id} is sent")
    given = f" --config {config}" if config else ""
    typer.echo(f"next: a worker must be running (watchkeeper worker{given}); then see: watchkeeper models list{given}")


def _request(model: str, reason: str, at: datetime) -> RetrainRequest:
    """The id is the second of asking, so that an impatient second press within it is the same request."""
    return RetrainRequest(
        id=f"{Trigger.PERSON}-{model}-{int(at.timestamp())}",
        model=model,
        model_version=None,
        trigger=Trigger.PERSON,
        at=at,
        reason=reason or "asked by a person",
    )
