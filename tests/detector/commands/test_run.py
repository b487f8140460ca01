"""`watchkeeper run` as a process: what it writes first and last, for a person and for a program."""

import json
import subprocess
import sys
from pathlib import Path

import yaml


def ran(folder: Path, form: str) -> subprocess.CompletedProcess[str]:
    """The daemon over a store without models, with an old key in its configuration; it ends at once."""
    config = folder / "watch.yaml"
    training = {"pumps": {"sensors": {"flow": {"min_deviation": 2}}}}
    settings = {"transport": "files", "store": str(folder / "models"), "logging": {"form": form}, "training": training}
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "detector.cli", "run", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_log_for_programs_is_json_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    """The warning of an old key and the error that ended it included: nothing that reads the log stumbles."""
    done = ran(tmp_path, "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (4, "")
    assert [line["event"] for line in lines] == ["configuration", "ended"]
    assert "training.pumps.sensors.flow.min_deviation is called deadband now" in lines[0]["reason"]
    assert lines[1]["exit_code"] == 4
    assert "no version of default is in use" in lines[1]["reason"]
    assert lines[1]["remedy"].startswith("run: watchkeeper train --model default")


def test_a_log_for_people_begins_with_what_is_watched_and_ends_with_the_error(tmp_path: Path) -> None:
    """Where it reads, where alerts go, how to stop it; and the one line of every command's error."""
    done = ran(tmp_path, "console")
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (4, "")
    assert any(line.startswith("watching ") and line.endswith("stop with Ctrl-C") for line in lines)
    assert lines[-1].startswith("watchkeeper: no version of default is in use")
