"""History is the same whatever it is read from; what cannot be read is one line that names thing and remedy."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from detector.errors import ConfigError, DataError
from detector.transports.package import Span
from schemas.config import Feed
from trainer.data.history import History, asset_history, gather, median_step
from trainer.data.records import file_records
from trainer.data.sources import read_history
from trainer.data.tables import table_rows
from trainer.data.topic import parse_span

TIMES = [1_760_000_000.0 + n for n in range(6)]
FLOW = [1.0, 2.0, None, 4.0, 5.0, 6.0]
HEAT = [20.0, 21.0, 22.0, 23.0, 24.0, 25.0]
ASSETS = ["a", "b"] * 3


def wide() -> pa.Table:
    """Two assets, two sensors, a missing cell, a label, rows out of order."""
    table = pa.table({"asset": ASSETS, "timestamp": TIMES, "flow": FLOW, "heat": HEAT, "label": [0] * 6})
    return table.take(pa.array([3, 0, 1, 5, 4, 2]))


def check(history: History) -> None:
    """It is the history that all forms hold."""
    assert history.sensors == ("flow", "heat")
    assert [asset.name for asset in history.assets] == ["a", "b"]
    np.testing.assert_array_equal(history.assets[0].times, TIMES[0::2])
    np.testing.assert_array_equal(history.assets[0].values, np.array([[1, 20], [np.nan, 22], [5, 24]], np.float32))
    np.testing.assert_array_equal(history.assets[1].values, np.array([[2, 21], [4, 23], [6, 25]], np.float32))


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_parquet_and_csv(tmp_path: Path) -> None:
    """Wide tables: numeric columns are sensors, labels are not; rows come out by asset and time."""
    pq.write_table(wide(), tmp_path / "h.parquet")
    check(read_history([tmp_path / "h.parquet"], Feed()))
    pyarrow.csv.write_csv(wide(), tmp_path / "h.csv")
    check(read_history([tmp_path / "h.csv"], Feed()))


def test_long_table_and_long_lines(tmp_path: Path) -> None:
    """A row a value gives the same rows as the wide form."""
    cells = [
        {"asset": asset, "timestamp": time, "sensor": name, "value": value}
        for asset, time, flow, heat in zip(ASSETS, TIMES, FLOW, HEAT, strict=True)
        for name, value in (("flow", flow), ("heat", heat))
        if value is not None
    ]
    feed = Feed(form="long")
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "long.parquet")
    check(read_history([tmp_path / "long.parquet"], feed, period_s=1.0))
    check(read_history([write_lines(tmp_path / "long.jsonl", cells)], feed, period_s=1.0))


def test_values_that_share_a_period_are_noted(tmp_path: Path) -> None:
    """The last of them counts, as in the daemon; whoever reads the report sees how many there were."""
    cells = [{"asset": "a", "timestamp": 1.7e9 + t / 10, "sensor": "flow", "value": t} for t in range(20)]
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "long.parquet")
    tenths = read_history([tmp_path / "long.parquet"], Feed(form="long"), period_s=0.1)
    assert (tenths.rows, tenths.notes) == (20, ())
    seconds = read_history([tmp_path / "long.parquet"], Feed(form="long"), period_s=1.0)
    assert seconds.assets[0].values[:, 0].tolist() == [4.0, 14.0, 19.0]
    assert "17 values" in seconds.notes[0]


def test_flat_and_nested_lines(tmp_path: Path) -> None:
    """Paths of the feed section say where asset, time and sensors are."""
    rows = list(zip(ASSETS, TIMES, FLOW, HEAT, strict=True))
    flat = [{"asset": a, "timestamp": t, "flow": f, "heat": h, "note": "x"} for a, t, f, h in rows]
    check(read_history([write_lines(tmp_path / "flat.jsonl", flat)], Feed()))
    nested = [{"m": {"id": a, "ms": t * 1000}, "r": {"v": {"flow": f, "heat": h}}} for a, t, f, h in rows]
    feed = Feed(asset="m.id", timestamp="m.ms", timestamp_form="ms", values="r.v")
    check(read_history([write_lines(tmp_path / "nested.jsonl", nested)], feed))


def test_times_in_words_and_units(tmp_path: Path) -> None:
    """ISO 8601 text, Parquet timestamps and milliseconds are the same seconds."""
    moments = [datetime.fromtimestamp(time, UTC) for time in TIMES]
    forms = {
        "text": (pa.array([m.isoformat() for m in moments]), "iso8601"),
        "stamp": (pa.array(moments, pa.timestamp("ms", tz="UTC")), "s"),
        "ms": (pa.array([int(t * 1000) for t in TIMES]), "ms"),
    }
    for name, (column, form) in forms.items():
        pq.write_table(pa.table({"timestamp": column, "flow": HEAT}), tmp_path / f"{name}.parquet")
        history = read_history([tmp_path / f"{name}.parquet"], Feed(timestamp_form=form))
        np.testing.assert_allclose(history.assets[0].times, TIMES)
        assert history.assets[0].name == name


def test_some_bad_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    """A few unreadable records do not stop a training; a note says that they were left out."""
    path = write_lines(tmp_path / "h.jsonl", [{"asset": "a", "timestamp": t, "flow": t} for t in TIMES])
    path.write_text(path.read_text(encoding="utf-8") + "{half\n", encoding="utf-8")
    history = read_history([path], Feed())
    assert history.rows == 6
    assert history.notes == ("1 of 7 records could not be read and were left out",)


def test_blank_lines_are_not_records(tmp_path: Path) -> None:
    """As in serving: they are skipped, however many there are, and keep their numbers, which are the offsets."""
    path = write_lines(tmp_path / "h.jsonl", [{"asset": "a", "timestamp": t, "flow": t} for t in TIMES[:3]])
    dense = read_history([path], Feed())
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n\n\r\n"), encoding="utf-8")
    history = read_history([path], Feed())
    assert history.fingerprint() == dense.fingerprint()
    assert history.notes == ()
    assert [record.offset for records in file_records(path, "h") for record in records] == [0, 3, 6]


def test_files_of_a_folder_are_joined(tmp_path: Path) -> None:
    """Parts of one asset in several files become one history; a repeated time counts once."""
    for part in (slice(0, 4), slice(3, 6)):
        table = pa.table({"asset": ["a"] * 6, "timestamp": TIMES, "flow": HEAT})
        pq.write_table(table.slice(part.start, part.stop - part.start), tmp_path / f"{part.start}.parquet")
    history = read_history([tmp_path], Feed())
    assert len(history.assets) == 1
    np.testing.assert_array_equal(history.assets[0].times, TIMES)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone.parquet": (Path.exists, "there is no file"),
    "empty.parquet": (lambda path: path.write_bytes(b""), "cannot be read as Parquet"),
    "cut.parquet": (lambda path: path.write_bytes(b"PAR1 and no more"), "cannot be read as Parquet"),
    "empty.csv": (lambda path: path.write_bytes(b""), "cannot be read as CSV"),
    "norows.csv": (lambda path: path.write_text("asset,timestamp,flow\n"), "has no rows"),
    "notime.csv": (lambda path: path.write_text("asset,flow\na,1\n"), "has no column 'timestamp'"),
    "words.csv": (lambda path: path.write_text("timestamp,flow\nsoon,1\n"), "is not a time"),
    "nosensor.csv": (lambda path: path.write_text("asset,timestamp\na,1\n"), "has no numeric column"),
    "empty.jsonl": (lambda path: path.write_bytes(b""), "is empty"),
    "bad.jsonl": (lambda path: path.write_text("no json\n{}\n"), "has no numeric field"),
    "mostly.jsonl": (lambda path: path.write_text('{"asset":"a","timestamp":1,"x":1}\nno\nno\n'), "cannot be read"),
    "picture.png": (lambda path: path.write_bytes(b"x"), "of no kind that can be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    """Each kind of bad file is one DataError of one line with a remedy."""
    make, expected = BAD[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=expected) as caught:
        read_history([tmp_path / name], Feed())
    assert name in caught.value.problem
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_missing_and_textual_columns_are_named(tmp_path: Path) -> None:
    """A sensor that is asked for and not there, or not numeric, is named."""
    path = tmp_path / "h.csv"
    path.write_text("timestamp,flow,state\n1,2,on\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'speed'"):
        read_history([path], Feed(), ["flow", "speed"])
    with pytest.raises(DataError, match=r"'state' of .* is not numeric"):
        read_history([path], Feed(), ["state"])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    """A folder without a readable kind of file says which kinds there are."""
    with pytest.raises(DataError, match=r"holds no \.parquet"):
        read_history([tmp_path], Feed())


def test_table_rows_keep_the_files_order(tmp_path: Path) -> None:
    """A backtest gives records in the order of the file, repeats and all."""
    table = pa.table({"timestamp": [3.0, 1.0, 1.0], "flow": [1.0, 2.0, 3.0], "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "h.parquet")
    rows = table_rows(tmp_path / "h.parquet", Feed(), None)
    assert rows.times.tolist() == [3.0, 1.0, 1.0]
    assert rows.labels is not None
    assert rows.labels.tolist() == [False, True, False]


def test_infinite_values_and_repeats_are_cleaned() -> None:
    """Inf counts as missing; of rows with one time the first stays."""
    asset = asset_history("a", np.array([2.0, 1.0, 2.0]), np.array([[5.0], [np.inf], [7.0]], np.float32))
    assert asset.times.tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(asset.values, np.array([[np.nan], [5.0]], np.float32))


def test_spans_are_left_out_and_cut() -> None:
    """Incidents' spans go; a span without rows is an error, not an empty history."""
    history = History(("x",), (asset_history("a", np.arange(10.0), np.ones((10, 1), np.float32)),), "synthetic")
    assert history.without({"a": [(2.0, 4.0), (8.0, 99.0)]}).assets[0].times.tolist() == [0, 1, 4, 5, 6, 7]
    early, late = history.cut(0.3)
    assert (early.rows, late.rows) == (7, 3)
    with pytest.raises(DataError, match="no rows in the span"):
        history.between(50.0, 60.0)
    with pytest.raises(DataError, match="two rows"):
        median_step(history.between(0.0, 1.0))


def test_fingerprint_follows_the_data() -> None:
    """The same rows have the same fingerprint from any source; one changed value has another."""
    values = np.ones((5, 1), np.float32)
    first = History(("x",), (asset_history("a", np.arange(5.0), values),), "here")
    again = gather([History(("x",), (asset_history("a", np.arange(5.0), values.copy()),), "there")])
    values[2] = 2
    changed = History(("x",), (asset_history("a", np.arange(5.0), values),), "here")
    assert first.fingerprint() != changed.fingerprint()
    assert again.fingerprint() == History(("x",), again.assets, "x").fingerprint()


def test_spans_of_a_topic() -> None:
    """Two offsets or two times, either side open; anything else says how to write it."""
    assert parse_span("10..20") == Span(begin_offset=10, end_offset=20)
    assert parse_span("..") == Span()
    assert parse_span("2026-01-01..") == Span(begin_ms=1_767_225_600_000)
    for text in ("yesterday..", "5"):
        with pytest.raises(ConfigError):
            parse_span(text)


def test_blank_lines_are_skipped_as_in_serving(tmp_path: Path) -> None:
    """They are not records: none of them counts as one that could not be read."""
    rows = [{"asset": "a", "timestamp": TIMES[n], "flow": float(n)} for n in range(4)]
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(["", *map(json.dumps, rows[:2]), "", "\r", *map(json.dumps, rows[2:])]), encoding="utf-8")
    history = read_history([path], Feed())
    assert history.assets[0].values[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert history.notes == ()
