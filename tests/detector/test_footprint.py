"""The daemon stays small: nothing of the trainer is loaded, neither by the package nor by its own commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "trainer", "pyarrow", "matplotlib", "pandas", "onnx"}


def loaded(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after running `code`."""
    report = "\nimport sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_detector_loads_nothing_of_the_trainer() -> None:
    """`import detector` and everything the daemon is made of."""
    modules = loaded("import detector, detector.daemon.lifecycle, detector.commands, detector.cli")
    assert "onnxruntime" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("command", ["run", "check", "topics", "models", "alerts", "retrain", "schema"])
def test_the_detectors_own_commands_load_nothing_of_the_trainer(command: str) -> None:
    """Also where the trainer is installed: torch would take 600 MB and some seconds of every start."""
    code = f"""
import sys
from pathlib import Path
sys.argv = ["watchkeeper", {command!r}, "--help"]
from detector.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""
    assert not loaded(code) & HEAVY


def test_a_trainers_command_is_found_where_the_trainer_is_installed() -> None:
    """The other side of the same bargain."""
    command = [sys.executable, "-m", "detector.cli", "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "Fit a model on normal history" in done.stdout


@pytest.mark.parametrize("package", ["detector.bundles.loading", "trainer.graph.export", "benchmarks.speed.model"])
def test_onnxruntime_is_kept_from_reporting_to_its_makers(package: str, tmp_path: Path) -> None:
    """It would keep what it has to send in the home directory; with its reporting off there is nothing."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    code = f"import {package}, onnxruntime"
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True, timeout=120)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]


def test_the_command_leaves_numpy_one_thread() -> None:
    """Of two, each turns round and round while it waits for the other; who sets the variable is believed."""
    told = (
        "import sys; from detector import cli; sys.argv[1:] = ['--version']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "import numpy, threadpoolctl\n"
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info() if pool['internal_api'] == 'openblas'})"
    )
    bare = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for environment, threads in ((bare, "{1}"), (bare | {"OPENBLAS_NUM_THREADS": "2"}, "{2}")):
        command = [sys.executable, "-c", told]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.splitlines()[-1] == threads
