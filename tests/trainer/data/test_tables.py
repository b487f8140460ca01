"""Tables that cannot be history are refused by a line that names the file and the remedy."""

from pathlib import Path

import pytest

from detector.errors import DataError
from schemas.config import Feed
from trainer.data.tables import table_history


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ("asset,timestamp,temp\u00e9\np,1,2\n".encode("latin-1"), "UTF-8"),
        ("asset,timestamp,a\nk\u00fchler,1,2\n".encode("latin-1"), "UTF-8"),
        (b"asset,timestamp,a,a\np,1,2,3\n", "2 columns 'a'"),
        (b"asset,timestamp,a\np,1700000000000,2\n", "timestamp_form"),
    ],
    ids=["header-latin-1", "asset-latin-1", "column-twice", "milliseconds-as-seconds"],
)
def test_a_table_that_is_no_history_is_refused_by_a_line(tmp_path: Path, contents: bytes, problem: str) -> None:
    """Not by a traceback, and no asset gets the name of its bytes."""
    path = tmp_path / "history.csv"
    path.write_bytes(contents)
    with pytest.raises(DataError, match=problem):
        table_history(path, Feed(), None)
