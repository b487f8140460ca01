"""Which sensors the model depends on: what happens when one sensor's values come from other windows.

Permutation importance (Breiman 2001), without labels: a sensor whose values may be exchanged without moving the code is
not in it; one whose exchange raises the score is tied to the others.
"""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Floats, Ints
from trainer.explain.view import View
from trainer.replay.splits import thinned

WINDOWS = 1000  # perturbed, of those that score below the threshold
ROUNDS = 3
SEED = 0


@dataclass(frozen=True, slots=True)
class Influence:
    """One sensor's."""

    sensor: str
    code_shift: float  # mean distance that the code moves, over its own spread; 0 where there is no code
    score_ratio: float  # mean score with the sensor exchanged over the mean score without
    up: float  # the same with the last row's value one standard deviation higher
    down: float  # and one lower


def influences(view: View) -> list[Influence]:
    """One a sensor, the one that raises the score most first."""
    normal = np.flatnonzero(~view.above)
    windows = view.windows[thinned(normal if len(normal) > 1 else np.arange(len(view.windows)), WINDOWS)]
    rng = np.random.default_rng(SEED)
    orders = [rng.permutation(len(windows)) for _ in range(ROUNDS)]
    found = [_influence(view, windows, column, orders) for column in range(windows.shape[2])]
    return sorted(found, key=lambda influence: -influence.score_ratio)


def _influence(view: View, windows: Floats, column: int, orders: list[Ints]) -> Influence:
    scorer = view.scorer
    codes, score = scorer.reconstruct(windows)[1], float(scorer.score(windows).mean())
    spread = float(np.sqrt(codes.var(axis=0).sum())) or 1.0
    shifts, scores = [], []
    for order in orders:
        changed = windows.copy()
        changed[:, :, column] = windows[order, :, column]
        moved = scorer.reconstruct(changed)[1] - codes
        shifts.append(float(np.linalg.norm(moved.reshape(len(windows), -1), axis=1).mean()) / spread)
        scores.append(float(scorer.score(changed).mean()))
    values = windows[:, -1, column]
    sd = float(np.nanstd(values)) if not np.isnan(values).all() else 0.0
    name = scorer.manifest.sensors[column].name
    ratio = 1.0 / score if score > 0 else 1.0
    up, down = (_pushed(view, windows, column, by) * ratio for by in (sd, -sd))
    return Influence(name, float(np.mean(shifts)), float(np.mean(scores)) * ratio, up, down)


def _pushed(view: View, windows: Floats, column: int, by: float) -> float:
    changed = windows.copy()
    changed[:, -1, column] += np.float32(by)
    return float(view.scorer.score(changed).mean())
