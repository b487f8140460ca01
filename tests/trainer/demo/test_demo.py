"""The demo itself, told in a quarter of its days: real processes, from history to the swapped model."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SHORT_DAYS = "11"


def _demo(out: Path, *arguments: str, before: Sequence[str] = ()) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures and story; `before` is what the command runs beside."""
    demo = [sys.executable, "-m", "detector.cli", "demo", "--json", "--days", SHORT_DAYS, "--out", str(out)]
    command = [*before, *demo, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout), done.stderr


def _is_as_promised(code: int, figures: dict[str, Any], out: Path) -> None:
    assert figures["failures"] == []
    assert code == 0
    assert [(fault["once"], fault["named"]) for fault in figures["faults"]] == [(True, True)] * 4
    assert figures["rates"]["clean"]["per_asset_week"] <= 1.0
    assert figures["rates"]["renewed"]["share_above"] < 0.1 < figures["rates"]["drifting"]["share_above"]
    assert figures["swaps"]
    assert figures["scored_records"] == figures["records"] > 50_000
    assert figures["unscored"] == 0
    assert (out / "report.html").stat().st_size > 50_000


@pytest.mark.timeout(420)
def test_the_story_happens_over_files(tmp_path: Path) -> None:
    """Every fault is found once, the drift is answered by a new model, no record goes without a score."""
    code, figures, story = _demo(tmp_path)
    _is_as_promised(code, figures, tmp_path)
    for words in ("OPENED", "CLOSED", "RETRAIN REQUEST", "PUBLISHED", f"still process {figures['pid']}", "What next"):
        assert words in story, words


@pytest.mark.timeout(420)
def test_the_story_happens_over_kafka(kafka_tools: None, tmp_path: Path) -> None:
    """The same plant over a real broker; the alarms are those that `watchkeeper alerts` reads back."""
    beside = [sys.executable, "-m", "deploy.local", "--"]
    code, figures, story = _demo(tmp_path, "--bootstrap-servers", "{bootstrap}", before=beside)
    _is_as_promised(code, figures, tmp_path)
    assert "watchkeeper topics --create" in story
    assert "departs from normal" in story
