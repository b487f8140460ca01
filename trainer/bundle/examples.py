"""Held-out windows that the report shows, from the most ordinary to the strangest."""

import numpy as np

from detector.core.arrays import Doubles
from trainer.bundle.manifest import Calibrated
from trainer.bundle.result import Example
from trainer.graph import export
from trainer.graph.graph import Graph
from trainer.replay.prepare import Prepared

EXAMPLES = 4


def held_out_examples(prepared: Prepared, graph: Graph, calibrated: Calibrated) -> tuple[Example, ...]:
    """At most EXAMPLES windows at even ranks of their scores, as the graph rebuilds them."""
    scores = calibrated.scores.scores
    order = np.argsort(scores, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)]
    times = np.concatenate([asset.times for asset in prepared.history.assets])
    return tuple(_example(prepared, graph, calibrated, times, index) for index in chosen.tolist())


def _example(prepared: Prepared, graph: Graph, calibrated: Calibrated, times: Doubles, index: int) -> Example:
    held = calibrated.held
    number = held.windows[index : index + 1]
    observed = prepared.replay.windows(number)
    row = int(prepared.replay.rows[number[0]])
    return Example(
        asset=prepared.history.assets[int(held.slots[index])].name,
        times=times[row - prepared.training.window + 1 : row + 1],
        observed=observed[0],
        reconstruction=export.run_torch(graph, observed)[2][0],
        score=float(calibrated.scores.scores[index]),
    )
