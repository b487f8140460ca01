"""`watchkeeper simulate`: the same records in every form, and one clear line for a mistake."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from detector.errors import ConfigError, DataError
from trainer.commands.simulate import simulate
from trainer.simulate.faults import Truth
from trainer.simulate.output import Pace, fixed_rate, rate_from
from trainer.simulate.sensors import NAMES

START = ["--start", "2026-01-05T00:00:00Z"]


def _run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(simulate)
    result = CliRunner().invoke(app, [*arguments, *START], catch_exceptions=False, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def test_json_lines_and_parquet_hold_the_same_records(tmp_path: Path) -> None:
    """The form of the file changes nothing in the data (Parquet keeps 32-bit values, as the daemon does)."""
    for name in ("feed.jsonl", "feed.parquet"):
        _run("--out", str(tmp_path / name), "--days", "0.2", "--assets", "3")
    lines = [json.loads(line) for line in (tmp_path / "feed.jsonl").read_text().splitlines()]
    rows = pq.read_table(tmp_path / "feed.parquet").to_pylist()
    assert len(lines) == len(rows) == 3 * 288
    assert set(lines[0]) == {"asset", "timestamp", *NAMES}
    for line, row in zip(lines[::97], rows[::97], strict=True):
        assert (line["asset"], line["timestamp"]) == (row["asset"], row["timestamp"])
        assert row["flow"] == pytest.approx(line["flow"], rel=1e-6)


def test_chapters_appended_give_the_whole_file(tmp_path: Path) -> None:
    """The demo feeds a story in parts."""
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    _run("--out", str(whole), "--days", "0.5", "--scenario", "faults")
    _run("--out", str(parts), "--days", "0.5", "--scenario", "faults", "--to-day", "0.2")
    _run("--out", str(parts), "--days", "0.5", "--scenario", "faults", "--from-day", "0.2", "--append")
    assert parts.read_bytes() == whole.read_bytes()


def test_standard_output_carries_records_only() -> None:
    """`watchkeeper simulate --out - | ...` must not mix talk into the data."""
    lines = _run("--out", "-", "--days", "0.01").splitlines()
    assert len(lines) == 5 * 15
    assert all(json.loads(line)["asset"].startswith("pump-") for line in lines)


def test_the_truth_file_can_be_read_back(tmp_path: Path) -> None:
    """Whoever judges a watch reads the contract, not a log."""
    _run(
        "--out",
        str(tmp_path / "f.jsonl"),
        "--days",
        "1",
        "--scenario",
        "story",
        "--truth",
        str(tmp_path / "truth.json"),
    )
    written = Truth.model_validate_json((tmp_path / "truth.json").read_text())
    assert [fault.kind for fault in written.faults] == ["wear", "leak", "stuck", "silent", "warming"]


def test_the_figures_are_printed_as_json_when_asked(tmp_path: Path) -> None:
    """Figures for machines."""
    assert json.loads(_run("--out", str(tmp_path / "f.jsonl"), "--days", "0.1", "--json"))["records"] == 5 * 144


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ((), ConfigError, "--out FILE or --kafka"),
        (("--out", "x.jsonl", "--kafka"), ConfigError, "--out FILE or --kafka"),
        (("--out", "x.parquet", "--rate", "5"), ConfigError, "NAME.jsonl"),
        (("--out", "nowhere/x.jsonl"), DataError, "nowhere"),
        (("--out", "nowhere/x.parquet"), DataError, "nowhere"),
        (("--out", "x.jsonl", "--truth", "nowhere/t.json"), DataError, "nowhere"),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(
    arguments: tuple[str, ...], error: type[Exception], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the thing and what to do."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as raised:
        _run(*arguments)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_start_that_is_no_time_is_named(tmp_path: Path) -> None:
    """The text of the option is in the message."""
    app = typer.Typer()
    app.command()(simulate)
    with pytest.raises(ConfigError, match="yesterday"):
        CliRunner().invoke(
            app,
            ["--out", str(tmp_path / "x.jsonl"), "--start", "yesterday"],
            catch_exceptions=False,
            standalone_mode=False,
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves."""
    now = [100.0]
    monkeypatch.setattr("trainer.simulate.output.time.monotonic", lambda: now[0])
    monkeypatch.setattr("trainer.simulate.output.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


def test_pacing_holds_the_rate(clock: list[float]) -> None:
    """1,000 records at 500 a second take two seconds, whatever the batches."""
    pace = Pace(fixed_rate(500.0))
    for _ in range(1000 // pace.batch):
        pace.wait(pace.batch)
    assert clock[0] - 100.0 == pytest.approx(2.0)
    assert pace.batch <= 25


def test_the_rate_may_change_while_records_flow(clock: list[float], tmp_path: Path) -> None:
    """A file holds the rate; what was sent before does not count against the new one."""
    path = tmp_path / "rate"
    path.write_text("1000")
    pace = Pace(rate_from(path))
    pace.wait(1000)
    assert clock[0] - 100.0 == pytest.approx(1.0)
    path.write_text("10")
    pace.wait(10)
    assert clock[0] - 100.0 == pytest.approx(2.0)
    path.write_text("")  # somebody is writing it
    pace.wait(10)
    assert clock[0] - 100.0 == pytest.approx(3.0)


def test_a_file_without_a_rate_is_named(tmp_path: Path) -> None:
    """Before the first record."""
    (tmp_path / "rate").write_text("fast")
    with pytest.raises(DataError, match="rate holds no rate"):
        _run("--out", str(tmp_path / "x.jsonl"), "--rate-file", str(tmp_path / "rate"))
