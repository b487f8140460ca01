"""`watchkeeper train`: history in, a published model out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.bundles.store import Store
from detector.commands.chosen import chosen_model
from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.errors import ConfigError
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.training import Training
from trainer.bundle.publish import publish
from trainer.bundle.result import Fitted
from trainer.calibration.normal_scores import describe_alarms
from trainer.data.history import History
from trainer.data.sources import read_history
from trainer.data.topic import parse_span, topic_history
from trainer.parallel.pool import processors
from trainer.parallel.progress import shown_progress
from trainer.recipe import train as run_recipe


def train(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of the model; without it, the only one configured.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Parquet, CSV or JSON-lines file, or a folder of them. May be repeated."),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            help="Instead of --data: a span BEGIN..END of the input topic, as two ISO 8601 times or two offsets; "
            "either side may be left empty ('..' takes the whole topic)."
        ),
    ] = None,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help="Put the version into use. Without either: yes if the model has none in use yet, else no.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            show_default="the processors there are",
            help="Networks fitted at a time, each in a process with its own copy of the history.",
        ),
    ] = processors(),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a model on normal history, calibrate its threshold on held-out parts, and publish it to the store.

    The history should be normal operation: what it holds counts as normal. Wide tables have a column a sensor, long
    ones a row a value (feed.form); the columns are those of the feed section. How it is fitted stands under
    training.MODEL of the configuration; every key has a default. Ctrl-C stops and leaves nothing half done.

    Writes STORE/MODEL/VERSION with model.onnx, manifest.json, golden.json and report.html, and manifest.sig where
    trust.signing_key names a key. Without a daemon beside it
    nothing else happens; a running daemon takes a version up when it is promoted with 'watchkeeper models promote'.
    """
    settings = load_settings(config)
    name = chosen_model(settings, model)
    training = settings.training.get(name, Training())
    store = Store.of(settings)
    store.check_signing_key()
    if not as_json:
        where = ", ".join(map(str, data)) if data else f"topic {settings.topics.input}"
        typer.echo(f"training {name} on {where}; it will be published to {settings.store}")
    history = _history(settings, name, training, data, span)
    if not as_json:
        typer.echo(_describe(history, training))
    try:
        fitted = _fit(history, name, training, settings, jobs, quiet=as_json)
        path, promoted = publish(store, fitted, promote)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was published", err=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(_figures(fitted, path, promoted=promoted)))
        return
    _print_result(fitted, path, config, promoted=promoted)


def _fit(history: History, name: str, training: Training, settings: Settings, jobs: int, *, quiet: bool) -> Fitted:
    pointer = Store.of(settings).pointer(name)
    parent = pointer.model_version if pointer else None
    if quiet:
        return run_recipe(history, name, training, parent, decoder=True, processes=jobs)
    with shown_progress() as on_progress:
        return run_recipe(history, name, training, parent, on_progress, decoder=True, processes=jobs)


def _history(settings: Settings, name: str, training: Training, data: list[Path] | None, span: str | None) -> History:
    sensors = None if training.sensors is None else tuple(training.sensors)
    if data and span is not None:
        raise ConfigError("--data and --span are both given", "give one of them")
    if data:
        return read_history(data, settings.feed, sensors, training.period_s)
    if span is None:
        raise ConfigError("neither --data nor --span is given", "say what to train on: --data FILE, or --span ..")
    if not transport_of(settings).record_times:
        problem = f"--span needs the times of a topic's records, and transport: {settings.transport} has none"
        raise ConfigError(problem, "give the file with --data")
    return topic_history(settings, parse_span(span), sensors, training.period_s, model=name)


def _describe(history: History, training: Training) -> str:
    begin, end = history.span
    return (
        f"{history.rows} rows of {len(history.assets)} asset(s), {len(history.sensors)} sensors, "
        f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC; {training.family}, window {training.window}, "
        f"{max(training.folds, 1)} held-out part(s)"
    )


def _figures(fitted: Fitted, path: str, *, promoted: bool) -> dict[str, Any]:
    manifest = fitted.manifest
    return {
        "model": manifest.model,
        "version": manifest.model_version,
        "path": path,
        "promoted": promoted,
        "threshold": fitted.threshold,
        "notes": list(fitted.notes),
        **manifest.metrics,
    }


def _print_result(fitted: Fitted, path: str, config: Path | None, *, promoted: bool) -> None:
    manifest = fitted.manifest
    given = f" --config {config}" if config else ""
    figures = manifest.metrics
    for note in fitted.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"published {manifest.model} {manifest.model_version} to {path}")
    typer.echo(
        f"threshold {fitted.threshold:.4g}: {figures['held_out_above_threshold']:.2%} of {len(fitted.scores)} held-out "
        f"scores lie above it; {describe_alarms(figures)}"
    )
    typer.echo(f"report: {path}/report.html")
    if promoted:
        typer.echo(f"it is in use now; next: watchkeeper run{given}")
    else:
        typer.echo(f"next: watchkeeper models promote {manifest.model} {manifest.model_version}{given}")
