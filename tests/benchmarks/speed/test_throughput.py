"""The benchmark measures what it says, on a small feed; whether the aims are met is not this test's matter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed.figures import Figure, conclude
from benchmarks.speed.versus import AIM, OURS, THEIRS

SMALL = ["--records", "60000", "--tutorial-records", "1500", "--rounds", "1", "--rate", "1000", "--seconds", "3"]
AIMS = {
    "daemon / bare poll",
    "daemon / hand-written loop",
    "daemon / tutorial loop",
    "daemon / daemon without checkpoints",
    "daemon, peak memory",
    "daemon's processor share",
    "latency p50",
    "latency p99",
}


@pytest.mark.usefixtures("kafka_tools")
def test_the_whole_benchmark_runs_and_its_exit_code_tells_the_truth() -> None:
    """Trains, fills, runs everybody, measures latency: JSON on standard output, 1 when an aim is missed."""
    command = [sys.executable, "-m", "benchmarks.speed", *SMALL, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode in (0, 1), done.stderr
    figures = {figure["name"]: figure for figure in json.loads(done.stdout)}
    assert {name for name, figure in figures.items() if figure["aim_low"] or figure["aim_high"]} == AIMS
    assert all(figure["value"] > 0 for figure in figures.values())
    assert done.returncode == (0 if all(figure["met"] for figure in figures.values()) else 1)
    assert figures["latency run, rate"]["value"] == pytest.approx(1000, rel=0.1)


@pytest.mark.usefixtures("kafka_tools")
def test_two_checkouts_are_compared_lap_by_lap() -> None:
    """`--vs` runs each checkout's own daemon; against itself the ratio is near one, whatever the machine does."""
    command = [sys.executable, "-m", "benchmarks.speed", "--vs", ".", "--records", "60000", "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode in (0, 1), done.stderr
    figures = {figure["name"]: figure for figure in json.loads(done.stdout)}
    ratio = figures["this checkout / other checkout, throughput"]
    assert ratio["aim_low"] == AIM
    assert 0.3 < ratio["value"] < 3.0
    rates = [figures[f"{name}, throughput"]["value"] for name in (OURS, THEIRS)]
    assert ratio["value"] == pytest.approx(rates[0] / rates[1])


def test_a_directory_without_a_daemon_is_refused(tmp_path: Path) -> None:
    """Before a model is trained and Kafka started."""
    command = [sys.executable, "-m", "benchmarks.speed", "--vs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"bench: {tmp_path} is not a checkout of watchkeeper: name a directory with detector/cli.py"
    )


def test_a_missed_aim_is_named_and_makes_the_command_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, value and aim in a line, last on standard output."""
    figures = [
        Figure("speed", 1234.5, "records/s"),
        Figure("ratio", 0.5, "", 0.55),
        Figure("delay", 12.0, "ms", None, 50),
    ]
    assert conclude(figures, as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "speed  1,234 records/s",
        "ratio  0.5              aim >= 0.55, MISSED",
        "delay  12 ms            aim <= 50",
    ]
    assert conclude(figures[2:], as_json=True) == 0


def test_no_figure_is_no_success() -> None:
    """Not a number reaches no aim."""
    assert not Figure("ratio", float("nan"), "", 0.55).met
    assert not Figure("delay", float("nan"), "ms", None, 50.0).met
