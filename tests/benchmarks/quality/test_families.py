"""The family table measures what it says, on one small series."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.made_history import write_series


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it."""
    command = [sys.executable, "-m", "benchmarks.quality.families", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def test_the_table_has_a_row_for_each_family_asked_for(tmp_path: Path) -> None:
    """Trains, judges and times: detection is good on an obvious fault, and no figure is missing."""
    write_series(tmp_path, "made")
    done = run("--data", str(tmp_path), "--family", "linear", "--family", "dense", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["family"] for row in rows] == ["linear", "dense"]
    for row in rows:
        assert row["vus_pr"] > 0.8
        assert row["f1"] > 0.8
        assert min(row["fit_s"], row["weights"], row["graph_kib"], row["records_per_s"]) > 0


def test_what_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    """A folder without labelled series and an unknown family are refused, each in one line."""
    for arguments, said in (
        (("--data", str(tmp_path)), "holds no labelled series"),
        (("--family", "dnese"), "there is no family dnese"),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert said in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
