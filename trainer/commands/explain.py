"""`watchkeeper explain`: what a model looks at, and why it alarmed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from detector.bundles.loading import OnnxScorer, load_bundle
from detector.bundles.store import Store
from detector.commands.chosen import watched_model
from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.disk import make_out
from detector.errors import ConfigError
from schemas.config import Settings
from trainer.data.sources import read_history
from trainer.explain import explain as look_into
from trainer.explain.output import figures, write


def explain(
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="JSON-lines, Parquet or CSV file, or a folder. May be repeated.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for explain.html, explain.json, windows.csv, incident.csv.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of the model; without it, the only one watched.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="The version; without one, the version in use.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Instead of --model: a bundle's folder, STORE/MODEL/VERSION.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model looks at: one page of pictures, and the same as data.

    The strongest alarm that the data give, with each sensor's contribution, measured against rebuilt; which sensors the
    score and the code hang on; the code beside the data in a plane, in clusters, and the correlation of its features.
    Changes nothing but the files in OUT. docs/how-to/read-the-reports.md says how to read it.
    """
    settings = load_settings(config)
    scorer = _scorer(settings, model, version, bundle)
    manifest = scorer.manifest
    wanted = tuple(sensor.name for sensor in manifest.sensors)
    make_out(out)
    history = read_history(data, settings.feed, wanted, manifest.period_s)
    if not as_json:
        typer.echo(
            f"looking into {manifest.model} {manifest.model_version} with {history.rows} rows of {history.source}"
        )
    found = look_into(scorer, history, settings.alarms)
    write(found, out)
    shown = figures(found)
    if as_json:
        typer.echo(json.dumps(shown))
        return
    first = shown["sensitivity"][0]
    typer.echo(f"{shown['windows']} windows, {shown['above_threshold']} above the threshold, alarms: {shown['alarms']}")
    typer.echo(f"the score hangs most on {first['sensor']}: {first['score_ratio']:.2f} times as high with other values")
    typer.echo(f"next: open {out / 'explain.html'}; the same as data is beside it")


def _scorer(settings: Settings, model: str | None, version: str | None, bundle: Path | None) -> OnnxScorer:
    if bundle is not None:
        if model is not None or version is not None:
            raise ConfigError("--bundle and --model or --version are both given", "give one of them")
        place = bundle.resolve()
        return load_bundle(Store(str(place.parent.parent), settings.trust), place.parent.name, place.name)
    store, name = Store.of(settings), watched_model(settings, model)
    return load_bundle(store, name, version or store.in_use(name))
