"""The demo itself, told in a quarter of its days: real processes, from history to the swapped model."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.wheel import ROOT, build_wheel, install_wheel

SHORT_DAYS = "11"


def _demo(command: Sequence[str], out: Path, environment: Mapping[str, str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures and story."""
    arguments = ["--json", "--days", SHORT_DAYS, "--out", str(out)]
    done = subprocess.run(
        [*command, *arguments],
        cwd=out.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
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
def test_the_story_happens_over_files_from_an_installed_wheel(tmp_path: Path) -> None:
    """Every fault is found once, the drift is answered by a new model, no record goes without a score."""
    programs = install_wheel(build_wheel(tmp_path / "wheel"), tmp_path / "venv")
    out = tmp_path / "out"
    code, figures, story = _demo([str(programs / "watchkeeper"), "demo"], out, {})
    _is_as_promised(code, figures, out)
    for words in ("OPENED", "CLOSED", "RETRAIN REQUEST", "PUBLISHED", f"still process {figures['pid']}", "What next"):
        assert words in story, words


@pytest.mark.timeout(420)
@pytest.mark.usefixtures("kafka_tools")
def test_the_story_happens_over_kafka(tmp_path: Path) -> None:
    """The same plant over a real broker; the alarms are those that `watchkeeper alerts` reads back."""
    program = [sys.executable, "-m", "detector.cli", "demo", "--bootstrap-servers", "{bootstrap}"]
    out, environment = tmp_path / "out", os.environ | {"PYTHONPATH": str(ROOT)}
    code, figures, story = _demo([sys.executable, "-m", "deploy.local", "--", *program], out, environment)
    _is_as_promised(code, figures, out)
    assert "watchkeeper topics --create" in story
    assert "departs from normal" in story


def test_a_demo_that_is_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    """SIGTERM, as a service manager or a closed terminal sends it: the daemon and the worker end as well."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "detector.cli", "demo", "--days", SHORT_DAYS, "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        lines = []
        for line in program.stdout:
            lines.append(line)
            if "FIRST SCORE" in line:
                program.send_signal(signal.SIGTERM)
                break
        rest = program.stdout.read()
        assert program.wait(60) == 130, rest
    pids = [int(number) for number in re.findall(r"\(process (\d+)\)", "".join(lines))]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
