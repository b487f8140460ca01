"""The TSB-AD way, for standing beside its published figures: of the test rows alone the first are trained on.

Liu & Paparrizos, The Elephant in the Room, NeurIPS 2024. All test rows are scored, those trained on included, and the
buffer of VUS is the period of the first channel. How many rows are trained on stands in the names of its files; here it
is an option, or `tsbad_m_train_rows` (`tsbad_u_train_rows`) of the series in a manifest.json in or above the folder.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import DataError
from trainer.data.history import History, asset_history
from trainer.evaluation.series import Series
from trainer.metrics.vus_buffer import buffer_of

MANIFEST = "manifest.json"
KEYS = ("tsbad_m_train_rows", "tsbad_u_train_rows")


def train_rows(data: Path) -> dict[str, int]:
    """Rows to train on by series, as the folder's manifest has them; empty where there is none."""
    for folder in (data, data.parent):
        path = folder / MANIFEST
        if path.is_file():
            return {name: rows for name, rows in map(_entry, _listed(path)) if rows}
    return {}


def as_tsb_ad(series: Series, rows: int) -> Series:
    """The same series, trained on its first `rows` test rows and judged on all of them."""
    found = len(series.times)
    if not 0 < rows < found:
        raise DataError(f"{series.name} has {found} test rows, and {rows} are to be trained on", "give fewer")
    asset = asset_history(series.name, series.times[:rows], series.values[:rows])
    train = History(series.train.sensors, (asset,), series.train.source)
    buffer = buffer_of(series.values[:, 0].astype(np.float64))
    return replace(series, train=train, follows=False, buffer=buffer)


def _listed(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{path} cannot be read", "repair it, or give --train-rows") from None
    return found if isinstance(found, list) else []


def _entry(given: Any) -> tuple[str, int]:
    """A series' name and its rows; 0 where none are given."""
    if not isinstance(given, dict):
        return "", 0
    rows = next((given[key] for key in KEYS if isinstance(given.get(key), int)), 0)
    return Path(str(given.get("file", ""))).stem, rows
