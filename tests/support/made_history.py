"""Synthetic histories of a small plant: four sensors that follow one slow load, with noise."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.core.arrays import Doubles, Floats, Ints
from schemas.training import Threshold, Training
from trainer.bundle.result import Fitted
from trainer.calibration.normal_scores import HeldOutScores, timing
from trainer.data.history import AssetHistory, History
from trainer.recipe import train

SENSORS = ("flow", "pressure", "power", "heat")
LOADINGS = np.array([2.0, -1.5, 4.0, 0.8])
LEVELS = np.array([50.0, 8.0, 120.0, 60.0])
NOISE = np.array([0.2, 0.15, 0.4, 0.08])
START = 1_760_000_000.0
QUICK = {"epochs": 25, "patience": 5, "hidden": (24,), "batch": 128, "score": "mahalanobis"}


def made_values(rows: int, seed: int) -> Floats:
    """(row, sensor) engineering units: an autocorrelated load, seen by every sensor."""
    rng = np.random.default_rng(seed)
    load = np.zeros(rows)
    for row in range(1, rows):
        load[row] = 0.95 * load[row - 1] + rng.normal(scale=0.3)
    values = LEVELS + load[:, None] * LOADINGS + rng.normal(size=(rows, 4)) * NOISE
    return np.asarray(values, np.float32)


def made_history(rows: int = 900, assets: int = 2, seed: int = 0) -> History:
    """Rows a second apart, for each of some assets."""
    times = START + np.arange(rows, dtype=np.float64)
    made = [AssetHistory(f"pump-{n}", times, made_values(rows, 100 * seed + n)) for n in range(assets)]
    return History(SENSORS, tuple(made), "synthetic")


def write_series(folder: Path, name: str, *, labelled: bool = True, shift: bool = True) -> None:
    """An evaluation series of 500 train and 300 test rows, the fault in rows 600 to 700, as NAME.parquet."""
    values = made_values(800, 11)
    if shift:
        values[600:700, 2] += 15
    columns: dict[str, object] = {"timestamp": np.arange(800)}
    columns |= {sensor: values[:, column] for column, sensor in enumerate(SENSORS)}
    columns["split"] = ["train"] * 500 + ["test"] * 300
    if labelled:
        columns["label"] = [int(600 <= row < 700) for row in range(800)]
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def normal_scores(scores: Doubles, slots: Ints | None = None, row_s: float = 1.0) -> HeldOutScores:
    """Held-out scores of one asset, or of several, a row each `row_s`; the usual delays."""
    slots = np.zeros(len(scores), np.int64) if slots is None else slots
    begins = np.searchsorted(slots, slots)
    times = np.asarray(START + row_s * (np.arange(len(scores)) - begins), np.float64)
    return HeldOutScores(scores, slots, times, begins == np.arange(len(scores)), row_s, timing(Threshold(), row_s))


def quick_training(**changes: object) -> Training:
    """A training that takes a second or two."""
    return Training.model_validate({**QUICK, **changes})


@cache
def fitted_model(family: str, window: int = 8, score: str = "mahalanobis") -> Fitted:
    """A fitted model, shared by all tests that only look at it."""
    small = {"family": family, "window": window, "score": score, "folds": 2, "epochs": 15, "learning_rate": 5e-3}
    return train(made_history(600), "pumps", quick_training(**small))
