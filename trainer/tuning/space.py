"""The space that is searched: from axes of the configuration to a training, by way of Optuna's trials.

Optuna stores numbers and strings; a choice that is a list or null goes through it as JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from pydantic import ValidationError

from detector.core.rounding import six_digits
from detector.errors import ConfigError
from schemas.training import SensorSettings, Training
from schemas.tuning import Axis

# What mattered most in the families' comparison, and costs no more than a fit of some seconds a trial.
DEFAULT: dict[str, Axis] = {
    "family": Axis(choices=("dense", "linear", "denoising", "variational")),
    "window": Axis(choices=(1, 5, 10, 20, 40)),
    "hidden": Axis(choices=([32], [64], [128, 32])),
    "latent": Axis(choices=(None, 2, 4, 8)),
    "learning_rate": Axis(low=5e-4, high=1e-2, log=True),
}

RENAMED = {**Training.renamed, **SensorSettings.renamed}  # old key -> today's


def check_space(space: Mapping[str, Axis], base: Training) -> None:
    """Raises ConfigError for a key that a training does not have, or a choice that it never takes."""
    for key, axis in space.items():
        for value in grid_values(axis):
            try:
                changed(base, {key: value})
            except ValidationError as error:
                fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
                if fault["type"] == "value_error":  # not with the other keys as they are; a trial may have others
                    continue
                problem = f"tuning.{key} has a value that a training does not take ({fault['msg'][:120]})"
                raise ConfigError(problem, "see training.NAME in: watchkeeper schema settings --markdown") from None


def grid_values(axis: Axis) -> list[Any]:
    """The values that a grid takes from an axis."""
    if axis.choices is not None:
        return list(axis.choices)
    assert axis.low is not None
    assert axis.high is not None
    spread = np.geomspace if axis.log else np.linspace
    values = spread(axis.low, axis.high, axis.points).tolist()
    return sorted({round(value) for value in values}) if axis.whole else [six_digits(value) for value in values]


def grid(space: Mapping[str, Axis]) -> dict[str, list[Any]]:
    """The grid as Optuna takes it."""
    return {key: [_stored(value) for value in grid_values(axis)] for key, axis in space.items()}


def suggest(trial: optuna.Trial, space: Mapping[str, Axis], *, on_grid: bool) -> dict[str, Any]:
    """The keys and values of one trial."""
    return {key: read(_ask(trial, key, axis, on_grid=on_grid)) for key, axis in space.items()}


def changed(base: Training, values: Mapping[str, Any]) -> Training:
    """The base with some (dotted) keys set. Raises ValidationError where they do not go together.

    A key may have its old name. Sections of other families than the chosen one are left out: they would be refused.
    """
    document = base.model_dump(mode="json", exclude_unset=True)
    for key, value in values.items():
        *sections, leaf = key.split(".")
        place = document
        for section in sections:
            place = place.setdefault(section, {})
        place[RENAMED.get(leaf, leaf)] = value
    family = document.get("family", base.family)
    named = {key.split(".")[0] for key in values if "." in key}
    for section in (named | set(document)) & set(_families()) - {family}:
        document.pop(section, None)
    return Training.model_validate(document, strict=False)


def read(stored: Any) -> Any:
    """A value as Optuna kept it, as the configuration has it."""
    return json.loads(stored) if isinstance(stored, str) else stored


def _stored(value: Any) -> Any:
    """Numbers as they are, so that samplers see their order; all else as JSON."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else json.dumps(value)


def _ask(trial: optuna.Trial, key: str, axis: Axis, *, on_grid: bool) -> Any:
    if on_grid or axis.choices is not None:
        return trial.suggest_categorical(key, [_stored(value) for value in grid_values(axis)])
    assert axis.low is not None
    assert axis.high is not None
    if axis.whole:
        return trial.suggest_int(key, round(axis.low), round(axis.high), log=axis.log)
    return trial.suggest_float(key, axis.low, axis.high, log=axis.log)


def _families() -> list[str]:
    """Names of families, of which some have a section of their own."""
    return list(Training.model_json_schema()["properties"]["family"]["enum"])
