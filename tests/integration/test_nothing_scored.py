"""Files of which nothing is scored: `run` and `backtest` say which of the three reasons it is, and end with 6."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from detector.bundles.store import Store
from tests.support.tiny_bundle import tiny

Row = dict[str, object]


def rows(count: int, **changes: object) -> list[Row]:
    return [{"asset": "p", "timestamp": 1e9 + n, "flow": 10.0, "temperature": 50.0} | changes for n in range(count)]


def command(folder: Path, feed: list[Row], *arguments: str) -> tuple[int, str, list[str]]:
    """(exit code, output, lines of the log) of a command over a file with this feed."""
    store = Store(str(folder / "models"))
    tiny("v1").publish(store)
    store.promote("pumps", "v1")
    (folder / "sensors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in feed))
    document: Row = {"transport": "files", "files": {"directory": str(folder)}, "store": store.url}
    document |= {"watch": [{"model": "pumps", "assets": ["p*"]}], "http": {"enabled": False}}
    config = folder / "watch.yaml"
    config.write_text(yaml.safe_dump(document | {"logging": {"form": "console"}}))
    ran = subprocess.run(
        [sys.executable, "-m", "detector.cli", *arguments, "--config", str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr.splitlines()


COMMANDS = [("run",), ("backtest", "--data", "{feed}", "--out", "{out}")]
CASES = {
    "unreadable": (rows(12, timestamp="noon"), "12 of 12 records could not be read", "correct 'feed'"),
    "unwatched": (rows(12, asset="boiler"), "no watch rule names their assets (boiler)", "name them in 'watch'"),
    "far apart": ([row | {"timestamp": 1e9 + 9000 * n} for n, row in enumerate(rows(12))], "rows are gap", "train one"),
    "too short": (rows(2), "2 rows are warming", "give more rows"),
}


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(("feed", "problem", "remedy"), CASES.values(), ids=CASES.keys())
def test_a_file_of_which_nothing_is_scored_ends_with_6(
    tmp_path: Path, arguments: tuple[str, ...], feed: list[Row], problem: str, remedy: str
) -> None:
    """One line: how many records, why, and what to do."""
    filled = [word.format(feed=tmp_path / "sensors.jsonl", out=tmp_path / "out") for word in arguments]
    code, _, log = command(tmp_path, feed, *filled)
    assert code == 6
    assert problem in log[-1]
    assert remedy in log[-1]


def test_a_run_that_scored_something_or_had_nothing_to_read_ends_as_asked(tmp_path: Path) -> None:
    """One row among many others is enough; so is a file that was read before."""
    feed = [*rows(4), *rows(30, asset="boiler"), *rows(3, timestamp="noon")]
    assert command(tmp_path, feed, "run")[0] == 0
    (tmp_path / "again").mkdir()
    assert command(tmp_path / "again", [], "run")[0] == 0
