"""`watchkeeper tune`: looks for the training that suits a history best."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from detector.commands.chosen import chosen_model
from detector.commands.options import ConfigOption, JsonOption
from detector.commands.tables import print_table
from detector.config import load_settings, read_document
from detector.errors import DataError, WatchkeeperError
from schemas.training import Training
from trainer.data.sources import read_history

TRIALS_SHOWN = 10
_INSTALL = 'pip install "watchkeeper[tune]"'


def tune(
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="Parquet, CSV or JSON-lines file, or a folder. May be repeated.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the trials, tuned.yaml and report.html.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of the model; without it, the only one configured.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials to reach, those of an earlier call included.")] = 40,
    sampler: Annotated[
        Literal["tpe", "random", "grid"], typer.Option(help="tpe learns from trials; grid tries everything.")
    ] = "tpe",
    objective: Annotated[
        Literal["detection", "reconstruction"],
        typer.Option(help="How well anomalies put into held-out windows stand out, or the loss on held-out windows."),
    ] = "detection",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes, one core each.")] = 1,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try many trainings on normal history and write the best one as a configuration. Publishes nothing.

    Every trial is judged on parts of the history that its networks were not fitted on; labels are never read. What is
    tried stands under 'tuning' of the configuration (family, window, hidden, latent and learning rate without it);
    all else is training.MODEL. A trial that falls behind the others is ended early. Stopped or killed, the same
    command goes on where it was.
    """
    if find_spec("optuna") is None:
        raise WatchkeeperError("'watchkeeper tune' needs its extra", f"run: {_INSTALL}")
    from trainer.tuning import outcome
    from trainer.tuning.space import DEFAULT, changed, check_space, read
    from trainer.tuning.study import Search, begin, locked, work

    settings = load_settings(config)
    name = chosen_model(settings, model)
    base = settings.training.get(name, Training())
    space = dict(settings.tuning) or DEFAULT
    check_space(space, base)
    sensors = None if base.sensors is None else tuple(base.sensors)
    history = read_history(data, settings.feed, sensors, base.period_s)
    search = Search(out, history, base, space, objective, sampler, trials, as_json)
    with locked(out):
        study = begin(search)
        _say(as_json, f"searching {', '.join(space)} for {name}; {len(outcome.rows(study))} trials are there already")
        try:
            work(search, jobs)
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on where it was", err=True)
            raise typer.Exit(130) from None
        try:
            best = study.best_trial
        except ValueError:
            raise DataError(
                f"not one of {len(study.trials)} trials could be ended", "look at the reasons above; give more history"
            ) from None
        chosen = changed(base, {key: read(value) for key, value in best.params.items()})
        written = outcome.write(study, out, read_document(config), name, chosen, objective)
    if as_json:
        typer.echo(json.dumps(_figures(study, best, written)))
        return
    _print_trials(outcome.rows(study)[:TRIALS_SHOWN])
    _say(as_json, f"best: trial {best.number}, {objective} {best.value:.4g}")
    _say(as_json, f"report: {written.report}; all trials: {written.trials}")
    _say(as_json, f"next: watchkeeper train --config {written.configuration} --model {name} --data {data[0]}")


def _print_trials(rows: list[dict[str, Any]]) -> None:
    """The best trials, a row each."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    print_table([[_cell(row.get(key)) for key in keys] for row in rows], keys)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _say(quiet: bool, line: str) -> None:
    if not quiet:
        typer.echo(line)


def _figures(study: Any, best: Any, written: Any) -> dict[str, Any]:
    from trainer.tuning import outcome

    table = outcome.rows(study)
    return {
        "best": next(row for row in table if row["trial"] == best.number),
        "trials": len(table),
        "importances": outcome.importances(study),
        "configuration": str(written.configuration),
        "report": str(written.report),
    }
