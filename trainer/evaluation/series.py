"""One labelled series of an evaluation folder: a Parquet file with a time, sensors, a split and perhaps labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detector.errors import DataError
from trainer.data.history import AssetHistory, History, asset_history
from trainer.data.tables import NOT_SENSORS, read_table
from trainer.metrics.vus import BUFFER

TIME = "timestamp"


@dataclass(frozen=True, slots=True)
class Series:
    """A series; test rows stay in the file's order, as a feed would bring them."""

    name: str
    train: History
    times: NDArray[np.float64]  # (test row,) as the file has them: seconds, or row numbers
    values: NDArray[np.float32]  # (test row, sensor)
    labels: NDArray[np.bool_] | None  # (test row,); judged against, never shown to the model
    stamps: "pa.ChunkedArray[Any]"  # the test rows' own time column, for the output
    follows: bool = True  # the test rows come after the train rows, and what is scored may look back at these
    buffer: int = BUFFER  # rows, of VUS


def read_series(path: Path) -> Series | None:
    """A series; None where it has no test rows. Raises DataError for a file of another form."""
    table = read_table(path)
    names = table.column_names
    for column in (TIME, "split"):
        if column not in names:
            raise DataError(f"{path} has no column {column!r}", "a series needs timestamp, sensors and split")
    sensors = tuple(f.name for f in table.schema if f.name != TIME and f.name not in NOT_SENSORS and _numeric(f.type))
    if not sensors:
        raise DataError(f"{path} has no numeric sensor column", "a series needs timestamp, sensors and split")
    split = np.array(table.column("split").to_pylist(), dtype=object)
    train, test = split == "train", split == "test"
    if not test.any():
        return None
    if not train.any():
        raise DataError(f"{path} has no row of the split 'train'", "mark normal rows as train")
    times = table.column(TIME).cast(pa.float64()).to_numpy()
    values = np.stack([table.column(name).cast(pa.float32()).to_numpy() for name in sensors], axis=1)
    asset: AssetHistory = asset_history(path.stem, times[train], values[train])
    labels = table.column("label").to_numpy()[test] == 1 if "label" in names else None
    history = History(sensors, (asset,), path.name)
    return Series(path.stem, history, times[test], values[test], labels, table.column(TIME).filter(pa.array(test)))


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
