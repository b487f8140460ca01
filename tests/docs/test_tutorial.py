"""The tutorial does what it says: its blocks are run in order, as a reader would."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from schemas.config import Settings

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every block for the shell was run, after the file and the configuration were written."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "watch.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    command = folder / "watchkeeper"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m detector.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "WATCHKEEPER_HTTP__ENABLED": "false"}
    runs = [[sys.executable, "-c", text] for text in blocks("python")]
    runs += [["sh", "-ec", text] for text in blocks("sh")]
    for run in runs:
        done = subprocess.run(
            run, cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
        )
        assert done.returncode == 0, f"{run[-1]}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    return folder


def test_the_fault_of_the_day_is_found_and_named(followed: Path) -> None:
    """The daemon raises one process alarm, within the fault, that names its sensor first; run again, none more."""
    lines = (followed / "watchkeeper.alerts.jsonl").read_text(encoding="utf-8").splitlines()
    alerts = [json.loads(line) for line in lines]
    opened = [alert for alert in alerts if alert["data"]["state"] == "opened"]
    assert [alert["data"]["kind"] for alert in opened] == ["process"]
    assert "2026-03-09T10:00" <= opened[0]["time"] <= "2026-03-09T13:20"
    assert opened[0]["data"]["sensors"][0]["sensor"] == "flow"
    assert alerts[-1]["data"]["state"] == "closed"


def test_backtest_says_what_the_daemon_says(followed: Path) -> None:
    """The same alarm, begun at the same row."""
    lines = (followed / "judged" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    judged = [json.loads(line)["time"] for line in lines]
    lines = (followed / "watchkeeper.alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert judged == [json.loads(line)["time"] for line in lines]


def test_the_configuration_for_kafka_is_one() -> None:
    """What the last step puts in is read, together with what was there."""
    settings = yaml.safe_load(blocks("yaml")[0])
    del settings["transport"]
    Settings.model_validate(settings | yaml.safe_load(blocks("yaml")[1]), strict=False)
