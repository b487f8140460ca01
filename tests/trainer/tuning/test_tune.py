"""`watchkeeper tune`: judged on normal data, never loses a trial, and gives a configuration that train takes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detector.config import load_settings
from schemas.training import SensorSettings, Training
from tests.support.invoke import Ran, invoke
from tests.support.made_history import SENSORS, START, made_history, made_values, quick_training
from tests.support.processes import gone
from trainer.commands.tune import tune
from trainer.scoring.injection import NormalRows
from trainer.tuning.objective import MAX_ROWS, judge, with_anomalies
from trainer.tuning.space import changed

QUICK = {"family": "linear", "folds": 2, "window": 4}
SPACE = {"window": {"choices": [1, 2, 4, 6]}, "latent": {"low": 1, "high": 4, "whole": True}}
COMMAND = "import typer; from trainer.commands.tune import tune; typer.run(tune)"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history and a configuration with a space of trainings that take a moment."""
    folder = tmp_path_factory.mktemp("plant")
    values = made_values(400, 1)
    columns = {name: values[:, column] for column, name in enumerate(SENSORS)}
    table = {"asset": ["pump-1"] * len(values), "timestamp": START + np.arange(len(values)), **columns}
    pq.write_table(pa.table(table), folder / "history.parquet")
    configure(folder, SPACE)
    return folder


def configure(folder: Path, space: object) -> Path:
    settings = {"store": "models", "watch": [{"model": "pumps"}], "training": {"pumps": QUICK}, "tuning": space}
    path = folder / "watch.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def run(plant: Path, out: Path, *arguments: str) -> Ran:
    given = ("--config", plant / "watch.yaml", "--data", plant / "history.parquet", "--out", out)
    return invoke(tune, *given, *arguments)


def read_trials(out: Path) -> dict[int, dict[str, str]]:
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        return {int(row["trial"]): row for row in csv.DictReader(file)}


def test_the_best_trial_becomes_a_configuration(plant: Path, tmp_path: Path) -> None:
    """The best of the table stands in tuned.yaml, which keeps all else and is read like any configuration."""
    out = tmp_path / "found"
    ran = run(plant, out, "--trials", "12", "--sampler", "random", "--json")
    printed = json.loads(ran.out)
    best = printed["best"]
    trials = read_trials(out)
    done = [row for row in trials.values() if row["state"] == "complete"]
    assert (len(trials), printed["trials"]) == (12, 12)
    assert best["detection"] == min(float(row["detection"]) for row in done)
    tuned = load_settings(out / "tuned.yaml", {})
    assert tuned.store == "models"
    assert tuned.training["pumps"] == Training.model_validate(
        {**QUICK, "window": best["window"], "latent": best["latent"]}
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("<img") >= 3


def test_killed_and_begun_again_nothing_is_lost(plant: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of a search of two processes: they end too, and the same command goes on to the end."""
    out = tmp_path / "found"
    command = [sys.executable, "-c", COMMAND, "--config", str(plant / "watch.yaml"), "--jobs", "2", "--out", str(out),
               "--data", str(plant / "history.parquet"), "--trials"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    lines: list[str] = []
    with subprocess.Popen([*command, "400"], stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines += [line] if line.startswith("trial ") else []
            if len(lines) == 4:
                break
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
        process.kill()
        process.stderr.read()
    assert gone(map(int, workers)), "a worker outlived its parent"
    assert not (out / "trials.csv").exists()
    ran = run(plant, out, "--trials", "30", "--json")
    assert ran.code == 0, ran.err
    after = read_trials(out)
    assert len(after) >= 30
    for line in lines:
        number, result = line.removeprefix("trial ").split(": ", 1)
        row = after[int(number)]
        assert row["state"] == ("pruned" if result.startswith("ended early") else "complete")
        if row["state"] == "complete":
            assert f"{float(row['detection']):.4g}" == result.split(" ", 1)[0], "its result is the one that was printed"


def test_a_grid_tries_everything_once(plant: Path, tmp_path: Path) -> None:
    """In two calls, each value of the grid is tried, none twice."""
    configure(plant, {"window": {"choices": [1, 4]}, "hidden": {"choices": [[8], [8, 4]]}})
    try:
        run(plant, tmp_path / "found", "--sampler", "grid", "--trials", "2")
        run(plant, tmp_path / "found", "--sampler", "grid")
    finally:
        configure(plant, SPACE)
    tried = sorted((row["window"], row["hidden"]) for row in read_trials(tmp_path / "found").values())
    assert tried == [("1", "[8, 4]"), ("1", "[8]"), ("4", "[8, 4]"), ("4", "[8]")]


def test_what_cannot_be_compared_is_refused(plant: Path, tmp_path: Path) -> None:
    """Another objective in the same folder, an axis that no training has, no trial that ended: one line each."""
    out = tmp_path / "found"
    assert run(plant, out, "--trials", "1").code == 0
    other = run(plant, out, "--trials", "2", "--objective", "reconstruction")
    assert (other.code, "another --out" in other.err) == (2, True)
    for space, code, word in (
        ({"windows": {"choices": [2]}}, 2, "tuning.windows"),
        ({"window": {"choices": ["long"]}}, 2, "tuning.window"),
        ({"window": {"choices": [300]}}, 3, "not one of 2 trials"),
    ):
        configure(plant, space)
        try:
            ran = run(plant, tmp_path / word.replace(" ", "-"), "--trials", "2")
        finally:
            configure(plant, SPACE)
        assert (ran.code, word in ran.err) == (code, True), ran.err


@pytest.mark.parametrize("rows", [1, 4, 60])
def test_an_anomaly_lasts_to_its_windows_end(rows: int) -> None:
    """Nearly every window's last row is changed, however long the window; what came before the anomaly is not."""
    random = np.random.default_rng(0)
    windows = random.normal(size=(300, rows, 3)).astype(np.float32)
    anomalous = with_anomalies(windows, NormalRows.of(windows[:, -1]), random)
    changed = anomalous != windows
    assert changed[:, -1].any(axis=1).mean() > 0.9 if rows > 1 else changed.any(axis=(1, 2)).mean() > 0.75
    assert not changed[:, :-MAX_ROWS].any()
    assert np.isfinite(anomalous).all()


def test_a_network_that_knows_the_plant_judges_better() -> None:
    """Of four sensors that follow one load a code of two does better than none to speak of: a window's mean."""
    folds: list[int] = []
    history = made_history(400, 1)
    good = judge(
        history, quick_training(family="linear", window=1, latent=1, folds=2), lambda fold, _: folds.append(fold)
    )
    blind = judge(history, quick_training(family="linear", window=1, latent=4, folds=2), lambda *_: None)
    assert folds == [0, 1]
    assert good.detection < blind.detection
    assert good.reconstruction > blind.reconstruction, "which is why reconstruction is not the default"


def test_an_axis_may_have_a_keys_old_name() -> None:
    """It takes the place of the configuration's own value, under whichever name that stands there."""
    base = Training(sensors={"flow": SensorSettings(deadband=1.0)})
    assert changed(base, {"sensors.flow.min_deviation": 2.0}) == changed(base, {"sensors.flow.deadband": 2.0})
