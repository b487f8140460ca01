"""The daemon installs and runs without the trainer: nothing of it is imported, and its commands say what is missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from detector.bundles.store import Store
from tests.support.tiny_bundle import tiny

ABSENT = ("torch", "onnx", "onnxscript", "pyarrow", "matplotlib", "jinja2", "sklearn", "pandas", "trainer")
SERVE = ("starlette", "uvicorn")


def hiding(absent: tuple[str, ...]) -> str:
    """A program that is watchkeeper where these are not installed: their import fails as it would there."""
    return f"""
import importlib.util, runpy, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in {absent} else real(name, *rest)
class Absent:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Absent())
sys.argv = ["watchkeeper", *sys.argv[1:]]
runpy.run_module("detector.cli", run_name="__main__")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", hiding(ABSENT + SERVE), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_the_detector_loads_neither_torch_nor_the_trainer() -> None:
    """Not the package, nor the daemon's own modules."""
    code = "import sys, detector, detector.daemon.lifecycle, detector.commands; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(ABSENT + SERVE)


def test_the_daemon_runs_without_the_trainers_libraries(tmp_path: Path) -> None:
    """A whole run over a file: alarms are raised, and the exit is clean."""
    store = Store(str(tmp_path / "models"))
    tiny("v1").publish(store)
    store.promote("pumps", "v1")
    with (tmp_path / "sensors.jsonl").open("w") as file:
        for second in range(60):
            flow = 30.0 if 20 <= second < 40 else 10.0
            row = {"asset": "p", "timestamp": 1.7e9 + second, "flow": flow, "temperature": 50.0}
            file.write(json.dumps(row) + "\n")
    config = tmp_path / "watch.yaml"
    config.write_text(
        f"version: 1\ntransport: files\nstore: {store.url}\nwatch: [{{model: pumps}}]\n"
        f"files: {{directory: {tmp_path}}}\nhttp: {{enabled: false}}\n"
    )
    done = run("run", "--config", str(config))
    assert done.returncode == 0, done.stderr
    alerts = [json.loads(line) for line in (tmp_path / "watchkeeper.alerts.jsonl").read_text().splitlines()]
    assert [alert["data"]["state"] for alert in alerts] == ["opened", "closed"]


@pytest.mark.parametrize("command", ["train", "worker", "evaluate"])
def test_a_command_of_the_trainer_says_how_to_get_it(command: str) -> None:
    """One line, no traceback."""
    done = run(command, "--data", "x")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"watchkeeper: 'watchkeeper {command}' needs the trainer: run: pip install \"watchkeeper[trainer]\""
    ]


def test_the_help_names_the_extra_that_is_missing() -> None:
    """In full: brackets are not taken for a style and left out."""
    done = run("--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.replace("│", " ").split())
    assert text.count('pip install "watchkeeper[trainer]"') >= 7


def test_serve_says_how_to_get_its_libraries() -> None:
    """One line, no traceback."""
    done = run("serve")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "watchkeeper: 'watchkeeper serve' needs its extra: run: pip install \"watchkeeper[serve]\""
    ]
