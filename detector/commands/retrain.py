"""`watchkeeper retrain`: a person asks for a new model, with the same message that drift and schedules send."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.errors import ConfigError
from detector.shell.control import send_control
from schemas.config import Settings
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
    request = _request(_model(settings, model), reason, datetime.now(UTC))
    if not as_json:
        typer.echo(f"asking for a new version of {request.model} on {settings.topics.control}")
    send_control(settings, request)
    if as_json:
        typer.echo(request.model_dump_json())
        return
    typer.echo(f"request {request.id} is sent")
    given = f" --config {config}" if config else ""
    typer.echo(f"next: a worker must be running (watchkeeper worker{given}); then see: watchkeeper models list{given}")


def _model(settings: Settings, name: str | None) -> str:
    """The model asked for, which must be one that the configuration uses."""
    used = sorted({rule.model for rule in settings.watch} | set(settings.training))
    if name is None and len(used) == 1:
        return used[0]
    if name is None:
        raise ConfigError(f"the configuration uses {len(used)} models", f"name one of: {', '.join(used)}")
    if name not in used:
        raise ConfigError(f"the configuration uses no model {name[:80]!r}", f"name one of: {', '.join(used)}")
    return name


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
