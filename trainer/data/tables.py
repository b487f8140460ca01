"""Parquet and CSV files as history: wide (a column a sensor) or long (a row a sensor), one or many assets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from detector.core.ingest.fields import FROM_KEY
from detector.errors import DataError
from schemas.config import Feed, TimestampForm
from trainer.data.history import History, from_columns
from trainer.data.long_rows import LongCells, long_history

LABEL = "label"
NOT_SENSORS = frozenset({LABEL, "label_point", "changepoint", "split"})  # columns that judge a row, not measure it
_LATEST_S = 60_000_000_000.0  # the year 3871; and as long before 1970, which a datetime still holds
_PER_SECOND = {
    TimestampForm.SECONDS: 1.0,
    TimestampForm.MILLISECONDS: 1e3,
    TimestampForm.MICROSECONDS: 1e6,
    TimestampForm.NANOSECONDS: 1e9,
}


def read_table(path: Path) -> pa.Table:
    """A file's columns. Raises DataError where it cannot be read or has no rows."""
    try:
        table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pyarrow.parquet.read_table(path)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", "check --data") from None
    except (pa.ArrowException, OSError) as error:
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        hint = "it is empty" if path.is_file() and not path.stat().st_size else type(error).__name__
        raise DataError(f"{path} cannot be read as {kind} ({hint})", "check that the file is whole") from None
    try:
        _ = table.column_names
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    if not table.num_rows:
        raise DataError(f"{path} has no rows", "leave it out of --data")
    return table


@dataclass(frozen=True, slots=True)
class TableRows:
    """A wide table's rows in the file's own order."""

    sensors: tuple[str, ...]
    assets: list[str]  # (row,)
    times: NDArray[np.float64]  # (row,) seconds
    values: NDArray[np.float32]  # (row, sensor), NaN = missing
    labels: NDArray[np.bool_] | None  # (row,) True where the column `label` is 1


def table_rows(path: Path, feed: Feed, sensors: Sequence[str] | None) -> TableRows:
    """A wide table as it stands. sensors: the columns wanted; None takes every numeric one."""
    table = read_table(path)
    columns = _columns(path, table, feed, sensors)
    values = np.stack([_numbers(path, table, column) for column in columns.values()], axis=1)
    labels = _numbers(path, table, LABEL) == 1 if _has(table, LABEL) else None
    return TableRows(tuple(columns), _assets(path, table, feed), _times(path, table, feed), values, labels)


def table_history(path: Path, feed: Feed, sensors: Sequence[str] | None, period_s: float | None = None) -> History:
    """A table as history, wide or long. period_s: of long rows; None takes their usual step."""
    if is_long(path, feed):
        table = read_table(path)
        which = _names(path, table, feed.sensor)
        values = _numbers(path, table, feed.value).astype(np.float64)
        cells = LongCells(_assets(path, table, feed), which, _times(path, table, feed), values)
        return long_history(str(path), cells, sensors, period_s)
    rows = table_rows(path, feed, sensors)
    return from_columns(str(path), rows.sensors, rows.assets, rows.times, rows.values)


def is_long(path: Path, feed: Feed) -> bool:
    """Whether a table has one row a value: the feed says so, and the table has the column of sensors' names."""
    return feed.form == "long" and _has(read_table(path), feed.sensor)


def _columns(path: Path, table: pa.Table, feed: Feed, sensors: Sequence[str] | None) -> dict[str, str]:
    """Sensor -> column. A column is named like the sensor, or like its path in a record."""
    paths = feed.values if isinstance(feed.values, dict) else {}
    if sensors is None and paths:
        sensors = tuple(paths)
    if sensors is None:
        skipped = NOT_SENSORS | {feed.asset, feed.timestamp}
        numeric = [f.name for f in table.schema if f.name not in skipped and _is_numeric(f.type)]
        if not numeric:
            raise DataError(f"{path} has no numeric column beside {feed.timestamp!r}", "name columns of sensors")
        return {name: name for name in numeric}
    found = {}
    for sensor in sensors:
        column = next((name for name in (sensor, paths.get(sensor, sensor)) if _has(table, name)), None)
        if column is None:
            raise _missing(path, table, sensor)
        found[sensor] = column
    return found


def _times(path: Path, table: pa.Table, feed: Feed) -> NDArray[np.float64]:
    column = _column(path, table, feed.timestamp)
    if column.null_count:
        raise DataError(f"{path} has {column.null_count} rows without {feed.timestamp!r}", "remove or repair them")
    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = pc.cast(column, pa.timestamp("us", tz="UTC"))
            kind = column.type
        if pa.types.is_timestamp(kind):
            micros = pc.cast(pc.cast(column, pa.timestamp("us", tz=kind.tz)), pa.int64())
            return np.asarray(micros.to_numpy(), np.float64) / 1e6
        times = pc.cast(column, pa.float64()).to_numpy() / _PER_SECOND.get(feed.timestamp_form, 1.0)
    except pa.ArrowException:
        raise DataError(
            f"the column {feed.timestamp!r} of {path} is not a time", "give numbers (feed.timestamp_form) or ISO 8601"
        ) from None
    if not np.isfinite(times).all():
        raise DataError(f"{path} has times that are not finite in {feed.timestamp!r}", "remove or repair these rows")
    if np.abs(times).max() > _LATEST_S:
        raise DataError(
            f"{path} has times beyond the year 3871 in {feed.timestamp!r}", "correct feed.timestamp_form (ms? us? ns?)"
        )
    return np.asarray(times, np.float64)


def _assets(path: Path, table: pa.Table, feed: Feed) -> list[str]:
    """The asset of each row; a file without the column is one asset, named like the file."""
    if feed.asset == FROM_KEY or not _has(table, feed.asset):
        return [path.stem] * table.num_rows
    return _names(path, table, feed.asset)


def _names(path: Path, table: pa.Table, name: str) -> list[str]:
    """Texts of a column. A CSV column that is not UTF-8 is read as bytes, whose text would be no name."""
    column = _column(path, table, name)
    if path.suffix == ".csv" and pa.types.is_binary(column.type):
        raise _not_utf8(path)
    return [str(text) for text in column.to_pylist()]


def _numbers(path: Path, table: pa.Table, name: str) -> NDArray[np.float32]:
    column = _column(path, table, name)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(), np.float64).astype(np.float32)
    except pa.ArrowException:
        raise DataError(
            f"the column {name!r} of {path} is not numeric", "leave it out under training.<model>.sensors"
        ) from None


def _column(path: Path, table: pa.Table, name: str) -> Any:
    if not _has(table, name):
        raise _missing(path, table, name)
    if (count := table.column_names.count(name)) > 1:
        raise DataError(f"{path} has {count} columns {name!r}", "rename or remove all but one")
    return table.column(name)


def _has(table: pa.Table, name: str) -> bool:
    return name in table.column_names


def _missing(path: Path, table: pa.Table, name: str) -> DataError:
    known = ", ".join(table.column_names[:20])
    return DataError(f"{path} has no column {name!r}", f"columns there: {known}")


def _not_utf8(path: Path) -> DataError:
    return DataError(f"{path} is not UTF-8 text", "convert it, for instance by iconv -f latin1 -t utf-8")


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
