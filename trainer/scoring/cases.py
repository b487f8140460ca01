"""Held-out windows with synthetic anomalies in them, scored by the networks that never saw these windows."""

from collections.abc import Sequence

import numpy as np

from detector.core.arrays import Bytes, Floats, Ints
from schemas.manifest import ComponentName
from trainer.fitting.members import FoldModel
from trainer.fitting.outputs import FoldOutputs, joined, outputs_of
from trainer.graph.components import Standard
from trainer.graph.preprocess import Scaling
from trainer.replay.prepare import Prepared
from trainer.scoring.components import HeldOutComponents, standardised
from trainer.scoring.held_out import HeldOut
from trainer.scoring.injection import KINDS, NormalRows, inject
from trainer.scoring.selection import SyntheticCase

# Windows of a case. More of them only take longer, so of a long history some stretches are taken.
MAX_WINDOWS = 4000
MIN_STRETCH = 400
# Windows of all draws together. Anomalies are drawn several times: the scatter of the draws tells a lead from luck.
DRAWN_WINDOWS = 8000
MIN_DRAWS, MAX_DRAWS = 2, 6


def synthetic_cases(
    prepared: Prepared,
    models: Sequence[FoldModel],
    scaling: Scaling,
    held: HeldOut,
    standards: dict[ComponentName, Standard],
) -> list[SyntheticCase]:
    """Every kind of anomaly, some draws each, in the same stretches; empty where no sensor ever moves.

    models: by held-out block, or one for all; standards: what each component is divided by.
    """
    values = np.concatenate([asset.values for asset in prepared.history.assets])
    normal, stretches = NormalRows.of(values), _stretches(held)
    if not len(normal.live):
        return []
    draws = int(np.clip(DRAWN_WINDOWS // sum(map(len, stretches)), MIN_DRAWS, MAX_DRAWS))
    cases = []
    for draw in range(draws):
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([prepared.training.seed, draw, number])
            drawn = [_windows(prepared, values, held.windows[each], kind, normal, rng) for each in stretches]
            windows, marks = zip(*drawn, strict=True)
            outputs = _outputs(prepared, models, scaling, held, stretches, windows)
            components = _components(held, stretches, standardised(outputs, standards))
            cases.append(SyntheticCase(kind, components, np.concatenate(marks)))
    return cases


def _stretches(held: HeldOut) -> list[Ints]:
    """Indices of held-out windows: of each run of one block and one asset without a gap its last stretch."""
    begins = held.reset_before | (np.diff(held.block, prepend=held.block[0]) != 0)
    runs = np.split(np.arange(len(held.windows)), np.flatnonzero(begins[1:]) + 1)
    length = max(MAX_WINDOWS // len(runs), MIN_STRETCH)
    step = max(len(runs) * length // MAX_WINDOWS, 1)
    return [run[-length:] for run in runs[::step]]


def _windows(
    prepared: Prepared, values: Floats, numbers: Ints, kind: str, normal: NormalRows, rng: np.random.Generator
) -> tuple[Floats, Bytes]:
    """Windows (window, row, sensor) with anomalies, and what the last row of each is."""
    lasts = prepared.replay.rows[numbers]
    before = prepared.training.window - 1
    begin = int(lasts[0]) - before
    rows, marks = inject(values[begin : int(lasts[-1]) + 1], kind, normal, before + 1, rng)
    return rows[(lasts - begin)[:, None] + np.arange(-before, 1)], marks[lasts - begin]


def _outputs(
    prepared: Prepared, models: Sequence[FoldModel], scaling: Scaling, held: HeldOut, stretches: list[Ints],
    windows: Sequence[Floats],
) -> FoldOutputs:  # fmt: skip
    """Each stretch by the model that was not fitted on it."""
    outputs = []
    for stretch, batch in zip(stretches, windows, strict=True):
        model = models[int(held.block[stretch[0]])] if len(models) > 1 else models[0]
        outputs.append(outputs_of(model, prepared.training, scaling, [batch]))
    return joined(outputs)


def _components(held: HeldOut, stretches: list[Ints], vectors: dict[ComponentName, Floats]) -> HeldOutComponents:
    chosen = np.concatenate(stretches)
    reset_before = np.zeros(len(chosen), bool)
    reset_before[np.cumsum([0, *map(len, stretches[:-1])])] = True
    return HeldOutComponents(held.slots[chosen], reset_before, held.block[chosen], vectors)
