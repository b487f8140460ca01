"""The results of a search: a table of its trials, the chosen configuration as YAML, and a page of pictures."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from matplotlib.axes import Axes
from optuna.trial import FrozenTrial, TrialState

from schemas.training import Training
from trainer.reports.figures import BLUE, GREY, ORANGE, as_uri, draw, style
from trainer.reports.page import render
from trainer.tuning.space import read

MIN_FOR_IMPORTANCE = 10  # completed trials; fewer show nothing of what mattered


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a search."""

    trials: Path
    configuration: Path
    report: Path


def rows(study: optuna.Study) -> list[dict[str, Any]]:
    """The ended trials, best first, then those that were ended early."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ordered = sorted(trials, key=lambda t: (t.state is not TrialState.COMPLETE, t.value if _done(t) else t.number))
    return [_row(trial) for trial in ordered]


def write(
    study: optuna.Study, folder: Path, document: dict[str, Any], model: str, chosen: Training, objective: str
) -> Written:
    """Writes trials.csv, tuned.yaml and report.html. document: the configuration that the search began with."""
    written = Written(folder / "trials.csv", folder / "tuned.yaml", folder / "report.html")
    table = rows(study)
    keys = list(dict.fromkeys(key for row in table for key in row))
    with written.trials.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(table)
    training = {**document.get("training", {}), model: chosen.model_dump(mode="json", exclude_unset=True)}
    tuned = {"version": 1, **document, "training": training}
    written.configuration.write_text(yaml.safe_dump(tuned, sort_keys=False), encoding="utf-8")
    written.report.write_bytes(_page(study, table, model, objective, training[model]))
    return written


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each key mattered for being among the best trials (PED-ANOVA); empty for too few trials."""
    values = [trial.value for trial in study.get_trials(deepcopy=False) if _done(trial)]
    if len(values) < MIN_FOR_IMPORTANCE or len(set(values)) < MIN_FOR_IMPORTANCE:
        return {}
    found = optuna.importance.get_param_importances(study)
    return {key: round(float(value), 4) for key, value in found.items()}


def _done(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE


def _row(trial: FrozenTrial) -> dict[str, Any]:
    facts = trial.user_attrs
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "detection": facts.get("detection"),
        "reconstruction": facts.get("reconstruction"),
        "seconds": round(trial.duration.total_seconds(), 2) if trial.duration else None,
        **{key: read(value) for key, value in trial.params.items()},
        "why": facts.get("why", ""),
    }


def _page(
    study: optuna.Study, table: list[dict[str, Any]], model: str, objective: str, training: Mapping[str, Any]
) -> bytes:
    done = [trial for trial in study.get_trials(deepcopy=False) if _done(trial)]
    with style():
        values = {
            "model": model,
            "objective": objective,
            "history": _history(done, objective),
            "importance": _importance(importances(study)),
            "slices": list(_slices(done, objective)),
            "rows": table,
            "chosen": yaml.safe_dump({"training": {model: dict(training)}}, sort_keys=False),
        }
    return render("tuning.html", values)


def _history(done: list[FrozenTrial], objective: str) -> str:
    """Every trial, and the best so far."""
    figure, (axes,) = draw(7.5, 3.4)
    numbers, values = [trial.number for trial in done], [float(trial.value or 0.0) for trial in done]
    axes.plot(numbers, values, "o", color=BLUE, markersize=4, label="trial")
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="trial", ylabel=f"{objective}, lower is better")
    axes.legend()
    return as_uri(figure)


def _importance(found: Mapping[str, float]) -> str | None:
    if not found:
        return None
    figure, (axes,) = draw(7.5, 0.8 + 0.4 * len(found))
    names = list(found)[::-1]
    axes.barh(names, [found[name] for name in names], color=BLUE)
    axes.set(xlabel="share of what made a trial one of the best")
    return as_uri(figure)


def _slices(done: list[FrozenTrial], objective: str) -> Iterator[tuple[str, str]]:
    """One small picture a key: its values against how good the trial was."""
    for key in dict.fromkeys(key for trial in done for key in trial.params):
        figure, (axes,) = draw(3.6, 2.8)
        having = [trial for trial in done if key in trial.params]
        _slice(axes, [trial.params[key] for trial in having], [float(trial.value or 0.0) for trial in having])
        axes.set(title=key, ylabel=objective)
        yield key, as_uri(figure)


def _slice(axes: Axes, values: list[Any], results: list[float]) -> None:
    if all(isinstance(value, int | float) for value in values):
        axes.plot(values, results, "o", color=BLUE, markersize=4)
        if min(values) > 0 and max(values) > 10 * min(values):
            axes.set_xscale("log")
        return
    names = sorted(set(map(str, values)))
    axes.plot([names.index(str(value)) for value in values], results, "o", color=BLUE, markersize=4)
    axes.set_xticks(range(len(names)), [str(read(name)) for name in names], rotation=20, ha="right")
    for place in range(len(names)):
        axes.axvline(place, color=GREY, linewidth=0.3)
