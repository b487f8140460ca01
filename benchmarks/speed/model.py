"""The benchmark's model: trained by `watchkeeper train` on the same plant without excursions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.speed.plant import ASSETS, WINDOW, encode, values
from benchmarks.speed.setup import MODEL
from deploy.local.process import of_checkout
from detector.errors import WatchkeeperError

ROWS = 1500  # of each asset
TRAINED = range(0, len(ASSETS), 4)  # every fourth asset: they differ by the phase of their rhythms only
START_S = 1_772_323_200.0
TRAINING = {
    "window": WINDOW,
    "family": "dense",
    "latent": 8,  # three rhythms have a phase each: six dimensions and some room
    "period_s": 1.0,
    "epochs": 15,
    "folds": 2,
    "score": "mahalanobis",
    "threshold": {"percentile": 100.0, "margin": 1.5},
}


def train(folder: Path, checkout: Path | None = None) -> tuple[Path, float]:
    """Trains into `folder`/models; gives the graph's path and a threshold for the graph's own score.

    checkout: the source tree whose trainer does it; None: this one's.

    The threshold is twice the largest score of clean windows: the contestants that call onnxruntime themselves have
    no calibration, and need one that excursions pass and noise does not.
    """
    history, config = folder / "history.jsonl", folder / "train.yaml"
    with history.open("wb") as file:
        for asset in TRAINED:
            for row, cells in enumerate(values(asset, 0, ROWS, None)):
                file.write(encode(ASSETS[asset], START_S + row, cells) + b"\n")
    document = {"store": str(folder / "models"), "watch": [{"model": MODEL}], "training": {MODEL: TRAINING}}
    config.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "detector.cli", "train", "--data", str(history), "--config", str(config), "--json"]
    environment = dict(os.environ) | of_checkout(checkout)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout, env=environment)
    if done.returncode:
        raise WatchkeeperError("the benchmark's model was not trained", done.stderr.strip().splitlines()[-1][:300])
    graph = Path(json.loads(done.stdout)["path"]) / "model.onnx"
    return graph, 2.0 * _largest_clean(graph)


def _largest_clean(graph: Path) -> float:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    largest = 0.0
    for asset in TRAINED:
        cells = values(asset, ROWS, 500, None).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(cells, WINDOW, axis=0).transpose(0, 2, 1)
        largest = max(largest, float(session.run(["score"], {"window": np.ascontiguousarray(windows)})[0].max()))
    return largest
