"""From what a person names (files, folders, a topic span) to one history."""

from collections.abc import Sequence
from pathlib import Path

from detector.errors import DataError
from schemas.config import Feed
from trainer.data.history import History, gather
from trainer.data.records import Gatherer, file_records
from trainer.data.tables import table_history

TABLES = (".parquet", ".csv")
LINES = (".jsonl", ".ndjson", ".json")


def data_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those directly inside folders named. Raises DataError for one of another kind."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in TABLES + LINES)
            if not inside:
                raise DataError(f"{path} holds no {', '.join(TABLES + LINES)} file", "check --data")
            files += inside
        elif not path.exists():
            raise DataError(f"there is no file {path}", "check --data")
        elif path.suffix not in TABLES + LINES:
            raise DataError(f"{path} is of no kind that can be read", f"give {', '.join(TABLES + LINES)}")
        else:
            files.append(path)
    return files


def read_history(
    paths: Sequence[Path], feed: Feed, sensors: Sequence[str] | None = None, period_s: float | None = None
) -> History:
    """All files as one history. sensors: None takes every numeric column. Raises DataError, naming the file."""
    return gather([_read(path, feed, sensors, period_s) for path in data_files(paths)])


def _read(path: Path, feed: Feed, sensors: Sequence[str] | None, period_s: float | None) -> History:
    if path.suffix in TABLES:
        return table_history(path, feed, sensors, period_s)
    gatherer = Gatherer(str(path), feed, sensors, period_s)
    for records in file_records(path, path.stem):
        gatherer.add(records)
    return gatherer.history()
