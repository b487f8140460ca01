"""The commands train, backtest and evaluate, as a person calls them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detector.bundles.loading import load_bundle
from detector.bundles.signing import fingerprint
from detector.bundles.store import Store
from schemas.config import Trust
from tests.detector.bundles.test_signing import make_pair
from tests.support.invoke import Ran, invoke
from tests.support.made_history import QUICK, SENSORS, START, made_values, write_series
from trainer.commands.backtest import backtest
from trainer.commands.evaluate import evaluate
from trainer.commands.explain import explain
from trainer.commands.train import train
from trainer.evaluation.baselines import BASELINES


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, a history, and the model trained on it."""
    folder = tmp_path_factory.mktemp("plant")
    settings = {
        "store": str(folder / "models"),
        "transport": "files",
        "watch": [{"model": "pumps", "assets": ["pump-*"]}],
        "training": {"pumps": {**QUICK, "hidden": [24], "window": 6}},
    }
    (folder / "watchkeeper.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    pq.write_table(table(900, 1), folder / "history.parquet")
    ran = invoke(train, "--config", folder / "watchkeeper.yaml", "--data", folder / "history.parquet")
    assert ran.code == 0
    return folder


def table(rows: int, seed: int) -> pa.Table:
    """One pump's rows."""
    values = made_values(rows, seed)
    columns = {name: values[:, column] for column, name in enumerate(SENSORS)}
    return pa.table({"asset": ["pump-1"] * rows, "timestamp": START + np.arange(rows), **columns})


def run(command: object, folder: Path, *arguments: str | Path) -> Ran:
    """A command with the folder's configuration."""
    return invoke(command, "--config", folder / "watchkeeper.yaml", *arguments)  # type: ignore[arg-type]


def test_train_publishes_and_says_what_next(plant: Path) -> None:
    """The first version is in use, with its report beside it; of a later one the command says how to use it."""
    versions = [path for path in (plant / "models" / "pumps").iterdir() if path.is_dir()]
    assert {"model.onnx", "decoder.onnx", "manifest.json", "golden.json", "report.html"} <= {
        p.name for p in versions[0].iterdir()
    }
    ran = run(train, plant, "--data", plant / "history.parquet", "--model", "pumps")
    assert ran.code == 0
    assert "models promote pumps" in ran.lines[-1]
    again = run(train, plant, "--data", plant / "history.parquet", "--json", "--promote")
    result = json.loads(again.lines[-1])
    assert result["promoted"] is True
    assert result["held_out_weeks"] == pytest.approx(result["held_out_windows"] / 604_800, rel=1e-4), "a row a second"
    line = f"they would have raised in {result['held_out_windows'] / 60:.3g} minutes: {result['held_out_alarms']:.0f}"
    assert any(line in each for each in ran.lines), ran.out


def test_train_signs_what_it_publishes(plant: Path, tmp_path: Path) -> None:
    """The version is signed and taken by who trusts the key; a key that is open to others ends it before the fit."""
    pair = make_pair(tmp_path, "trainer")
    settings = yaml.safe_load((plant / "watchkeeper.yaml").read_text(encoding="utf-8"))
    settings |= {"store": str(tmp_path / "models")}
    settings["trust"] = {"public_keys": [str(pair.public)], "signing_key": str(pair.private)}
    (tmp_path / "watchkeeper.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    pair.private.chmod(0o644)
    refused = run(train, tmp_path, "--data", plant / "history.parquet")
    assert (refused.code, "is open to others" in refused.err) == (2, True)
    assert not (tmp_path / "models").exists()
    assert "rows of" not in refused.out, "it was found out before the history was read"
    pair.private.chmod(0o600)
    assert run(train, tmp_path, "--data", plant / "history.parquet").code == 0
    store = Store(settings["store"], Trust(public_keys=(pair.public,)))
    (version,) = store.versions("pumps")
    assert store.signature("pumps", version) == fingerprint(pair.public)
    assert load_bundle(store, "pumps", version).manifest.model_version == version


def test_train_without_a_source_or_model(plant: Path) -> None:
    """What is missing or contradictory is one line that says what to give."""
    assert "--data FILE" in run(train, plant).err
    assert "--data and --span" in run(train, plant, "--data", plant / "history.parquet", "--span", "..").err
    assert "transport: files has none" in run(train, plant, "--span", "..").err
    unknown = run(train, plant, "--model", "fans", "--data", plant / "history.parquet")
    assert unknown.code == 2
    assert "name one of: pumps" in unknown.err
    assert run(train, plant, "--data", plant / "gone.parquet").code == 3


def test_interrupted_training_leaves_nothing(plant: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a fit ends with 130 and leaves no version, not even half of one."""
    slow = {"slow": {"epochs": 5000, "patience": 5000}}
    settings = {"store": str(tmp_path / "models"), "training": slow, "watch": [{"model": "slow"}]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "detector.cli", "train", "--config", str(tmp_path / "c.yaml"),
               "--data", str(plant / "history.parquet")]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    pipe = subprocess.PIPE
    command = ["env", "--default-signal=INT", *command]  # a test run in the background hands down an ignored one
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "sensors" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        # A shell sees 130 either way: Python may end by the signal itself once an interrupt has passed through exec.
        assert process.wait(30) in (130, -signal.SIGINT), rest
    assert "nothing was published" in rest
    assert "Traceback" not in rest
    assert not list((tmp_path / "models").rglob("*"))


def test_backtest_of_lines_and_of_a_table_agree(plant: Path, tmp_path: Path) -> None:
    """The same records as JSON lines and as Parquet give the same scores and the same alerts, ids included."""
    rows = table(500, 7).to_pylist()
    for row in rows[300:340]:
        row["pressure"] += 9.0
    (tmp_path / "feed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    labels = [int(300 <= number < 340) for number in range(500)]
    pq.write_table(pa.Table.from_pylist(rows).append_column("label", pa.array(labels)), tmp_path / "feed.parquet")
    for name in ("feed.jsonl", "feed.parquet"):
        assert run(backtest, plant, "--data", tmp_path / name, "--out", tmp_path / name[-5:]).code == 0
    lines, columns = ((tmp_path / name / "alerts.jsonl").read_text("utf-8") for name in ("jsonl", "rquet"))
    assert lines == columns
    opened = [json.loads(line)["data"] for line in lines.splitlines()]
    assert [data["state"] for data in opened if data["state"] != "updated"] == ["opened", "closed"]
    assert opened[0]["sensors"][0]["sensor"] == "pressure"
    first, second = (pq.read_table(tmp_path / name / "scores.parquet") for name in ("jsonl", "rquet"))
    assert first.equals(second)
    figures = json.loads((tmp_path / "rquet" / "metrics.json").read_text("utf-8"))
    assert figures["process_alarms"] == 1
    assert figures["recall"] > 0.8
    assert figures["precision"] > 0.5


def test_backtest_counts_bad_lines(plant: Path, tmp_path: Path) -> None:
    """A line that cannot be read is a dead letter with its reason, and the rest goes on."""
    good = [json.dumps(row) for row in table(30, 3).to_pylist()]
    (tmp_path / "f.jsonl").write_text("\n".join([*good[:10], "{oops", *good[10:]]) + "\n", encoding="utf-8")
    ran = run(backtest, plant, "--data", tmp_path / "f.jsonl", "--out", tmp_path / "out", "--json")
    figures = json.loads(ran.lines[-1])
    assert figures["records"] == 31
    assert figures["dead_letters"] == {"not_json": 1}


def test_evaluate_writes_a_row_per_test_row(plant: Path, tmp_path: Path) -> None:
    """Every test row has a score and a verdict, with or without labels; a series without test rows is left out."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_series(data, "with", labelled=True, shift=True)
    write_series(data, "without", labelled=False, shift=False)
    only_train = pq.read_table(data / "with.parquet").slice(0, 500)
    pq.write_table(only_train, data / "anomaly-free.parquet")
    ran = run(evaluate, plant, "--data", data, "--out", out, "--jobs", "1")
    assert ran.code == 0
    assert "anomaly-free: no test rows" in ran.err
    for name in ("with", "without"):
        written = pq.read_table(out / f"{name}.parquet")
        assert written.column_names == ["timestamp", "score", "pred"]
        assert written["timestamp"].to_pylist() == list(range(500, 800))
        assert np.isfinite(written["score"].to_numpy()).all()
        assert set(written["pred"].to_pylist()) <= {0, 1}
    report = json.loads((out / "metrics.json").read_text("utf-8"))
    assert report["pooled"]["F1"] > 0.8
    assert report["pooled"]["VUS-PR"] > 0.8
    assert "VUS-PR" in ran.out
    assert report["pooled"]["FAR"] < 15
    assert report["series"]["without"].get("AUC-PR") is None
    assert report["pooled"]["alarms/day"] is report["pooled"]["delay s"] is None, "row numbers are no times of day"


def test_evaluate_is_causal_and_blind_to_labels(plant: Path, tmp_path: Path) -> None:
    """Changing later rows and all labels changes no earlier score."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, shift in ((first, False), (second, True)):
        folder.mkdir()
        write_series(folder, "s", labelled=shift, shift=shift)
        assert run(evaluate, plant, "--data", folder, "--out", folder / "out", "--jobs", "1").code == 0
    one, two = (pq.read_table(folder / "out" / "s.parquet")["score"].to_numpy() for folder in (first, second))
    np.testing.assert_array_equal(one[:100], two[:100])
    assert (one[100:200] != two[100:200]).any()


def test_evaluate_the_tsb_ad_way(plant: Path, tmp_path: Path) -> None:
    """How many rows are trained on comes from the folder's manifest; all test rows are scored; others are left out."""
    data, out = tmp_path / "set", tmp_path / "out"
    data.mkdir()
    for name in ("known", "other"):
        write_series(data, name)
    arguments = ("--data", data, "--out", out, "--jobs", "1", "--protocol", "tsb-ad")
    assert "give --train-rows" in run(evaluate, plant, *arguments).err
    listed = [{"file": "set/known.parquet", "tsbad_m_train_rows": 95}, {"file": "set/other.parquet"}]
    (tmp_path / "manifest.json").write_text(json.dumps(listed), encoding="utf-8")
    ran = run(evaluate, plant, *arguments, "--seeds", "2", "--baselines", "--report")
    assert "other: manifest.json has no rows" in ran.err
    assert ran.code == 0
    scores = [pq.read_table(folder / "known.parquet")["score"].to_numpy() for folder in (out, out / "seed-1")]
    assert [len(each) for each in scores] == [300, 300]
    assert (scores[0] != scores[1]).any(), "each seed trains a model of its own"
    report = json.loads((out / "metrics.json").read_text("utf-8"))
    assert report["pooled"]["VUS-PR"] == pytest.approx(np.mean([s["VUS-PR"] for s in report["seeds"]]), abs=1e-4)
    assert report["spread"]["VUS-PR"] >= 0
    assert report["verdict"] in ran.out
    assert "known" in (out / "report.html").read_text("utf-8")
    assert set(report["baselines"]) == set(BASELINES)
    assert all(found["pooled"]["rows"] == 300 for found in report["baselines"].values())


def test_evaluate_refuses_other_folders(plant: Path, tmp_path: Path) -> None:
    """No folder, no series, and files of another form are each one line."""
    out = tmp_path / "out"
    assert "there is no folder" in run(evaluate, plant, "--data", tmp_path / "gone", "--out", out).err
    assert "holds no .parquet" in run(evaluate, plant, "--data", tmp_path, "--out", out).err
    pq.write_table(pa.table({"timestamp": [1], "x": [1.0]}), tmp_path / "x.parquet")
    ran = run(evaluate, plant, "--data", tmp_path, "--out", out)
    assert ran.code == 3
    assert "no column 'split'" in ran.err


def test_explain_writes_a_page_and_the_same_as_data(plant: Path, tmp_path: Path) -> None:
    """Of the model in use; a bundle that is not there and options that contradict each other are one line each."""
    data = ("--data", plant / "history.parquet", "--out", tmp_path / "out")
    result = json.loads(run(explain, plant, *data, "--json").lines[-1])
    assert result["model"] == "pumps"
    bundles = plant / "models" / "pumps"
    assert "pumps gone is not" in run(explain, plant, *data, "--bundle", bundles / "gone").err
    assert json.loads((tmp_path / "out" / "explain.json").read_text("utf-8")) == result
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"explain.html", "windows.csv", "incident.csv"}
    assert (
        "give one of them"
        in run(explain, plant, *data, "--bundle", bundles / result["version"], "--model", "pumps").err
    )
    assert "no version of fans" in run(explain, plant, *data, "--model", "fans").err
    assert run(explain, plant, *data, "--version", "gone").code == 4


@pytest.mark.parametrize("command", [backtest, explain, evaluate])
def test_an_out_that_cannot_be_made_is_one_line(command: object, plant: Path, tmp_path: Path) -> None:
    """A file stands where the folder should be: the line names it and the remedy, before any work."""
    (tmp_path / "file").touch()
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", "pump")
    data = tmp_path / "series" if command is evaluate else plant / "history.parquet"
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        ran = run(command, plant, "--data", data, "--out", out)
        assert ran.code == 2
        assert f"--out {out} cannot be made" in ran.err
        assert "name a folder" in ran.err
