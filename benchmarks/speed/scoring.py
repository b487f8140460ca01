"""`python -m benchmarks.speed.scoring`: a history through the core, as `evaluate` scores it, beside its graph alone.

The bare contestant has its windows cut out beforehand and only calls onnxruntime; the core takes rows of one asset:
windows, graph, chain, incidents. Turns alternate, and ratios are taken turn by turn.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from benchmarks.speed.figures import Figure, conclude
from benchmarks.speed.plant import SENSORS, values
from detector.bundles.loading import OnnxScorer
from schemas.config import Limits
from schemas.training import Training
from trainer.data.history import AssetHistory, History
from trainer.recipe import train
from trainer.replay.through_core import score_history

TRAINED = 4000  # rows
AIM = 200_000.0  # rows/s


def scoring(
    rows: Annotated[int, typer.Option(min=1000, help="Rows scored a turn.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each; medians count.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on standard output.")] = False,
) -> None:
    """Measure rows a second of the default training through the core, beside bare onnxruntime. About a minute."""
    print("training the default model", file=sys.stderr, flush=True)
    fitted = train(_history(0, TRAINED), "bench", Training())
    scorer, history = OnnxScorer(fitted.manifest, fitted.graph), _history(TRAINED, rows)
    windows = np.lib.stride_tricks.sliding_window_view(history.assets[0].values, fitted.manifest.window, axis=0)
    batches = _batches(windows.transpose(0, 2, 1))
    ours, bare = [], []
    for number in range(rounds + 1):
        ours.append(rows / _seconds(lambda: score_history(scorer, history)))
        bare.append(rows / _seconds(lambda: [scorer.parts(batch) for batch in batches]))
        print(f"turn {number}  {ours[-1]:,.0f} and {bare[-1]:,.0f} rows/s", file=sys.stderr, flush=True)
    raise typer.Exit(
        conclude(figures(len(fitted.manifest.scoring.components), ours[1:], bare[1:]), as_json)
    )  # the first turn warms up


def figures(components: int, ours: list[float], bare: list[float]) -> list[Figure]:
    """The medians of rows a second, and of their ratios turn by turn: a machine's slow minute strikes both alike."""
    ratio = statistics.median(mine / its for mine, its in zip(ours, bare, strict=True))
    return [
        Figure("components of the score that was chosen", float(components)),
        Figure("a history through the core", statistics.median(ours), "rows/s", aim_low=AIM),
        Figure("its graph alone, windows cut beforehand", statistics.median(bare), "rows/s"),
        Figure("the core / its graph alone", ratio),
    ]


def _history(first: int, rows: int) -> History:
    cells = values(0, first, rows, None).astype(np.float32)
    asset = AssetHistory("pump", first + np.arange(rows, dtype=np.float64), cells)
    return History(SENSORS, (asset,), "the benchmark's plant")


def _batches(windows: np.ndarray) -> list[np.ndarray]:
    size = Limits().batch_windows
    return [np.ascontiguousarray(windows[begin : begin + size]) for begin in range(0, len(windows), size)]


def _seconds(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


if __name__ == "__main__":
    typer.run(scoring)
