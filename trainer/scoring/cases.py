"""Held-out windows with made-up anomalies in them, judged by the networks that never saw these windows."""

import numpy as np

from detector.core.arrays import Bytes, Floats, Ints
from schemas.manifest import ComponentName
from trainer.fitting.members import FoldModel, FoldOutputs, joined, outputs_of
from trainer.graph.parts import Standard
from trainer.graph.preprocess import Scaling
from trainer.replay.prepare import Prepared
from trainer.scoring.components import HeldOutComponents, standardised
from trainer.scoring.held_out import HeldOut
from trainer.scoring.injection import KINDS, NormalRows, inject
from trainer.scoring.selection import SyntheticCase

# So many windows tell two scores apart, and more only take longer: of a long history some stretches are taken.
MAX_WINDOWS = 4000
MIN_STRETCH = 400
# They are injected several times, each time otherwise: how the draws scatter tells a lead from luck.
ENOUGH_WINDOWS = 8000
MIN_DRAWS, MAX_DRAWS = 2, 6


def synthetic_cases(
    prepared: Prepared,
    members: list[FoldModel],
    final: Scaling,
    held: HeldOut,
    standards: dict[ComponentName, Standard],
) -> list[SyntheticCase]:
    """All kinds of anomaly in the same stretches. members: by held-out block, or one for all."""
    values = np.concatenate([asset.values for asset in prepared.history.assets])
    usual, stretches = NormalRows.of(values), _stretches(held)
    if not len(usual.live):
        return []
    times = int(np.clip(ENOUGH_WINDOWS // sum(map(len, stretches)), MIN_DRAWS, MAX_DRAWS))
    cases = []
    for time in range(times):
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([prepared.training.seed, time, number])
            made = [_windows(prepared, values, held.windows[stretch], kind, usual, rng) for stretch in stretches]
            marks = np.concatenate([one for _, one in made])
            outputs = _outputs(prepared, members, final, held, stretches, [windows for windows, _ in made])
            cases.append(SyntheticCase(kind, _components(held, stretches, standardised(outputs, standards)), marks))
    return cases


def _stretches(held: HeldOut) -> list[Ints]:
    """Places among the held-out windows: stretches of one block and one asset without a gap, the last of each."""
    begins = held.reset_before | (np.diff(held.block, prepend=held.block[0]) != 0)
    runs = np.split(np.arange(len(held.windows)), np.flatnonzero(begins[1:]) + 1)
    length = max(MAX_WINDOWS // len(runs), MIN_STRETCH)
    step = max(len(runs) * length // MAX_WINDOWS, 1)
    return [run[-length:] for run in runs[::step]]


def _windows(
    prepared: Prepared, values: Floats, numbers: Ints, kind: str, usual: NormalRows, rng: np.random.Generator
) -> tuple[Floats, Bytes]:
    """SyntheticCase windows (window, row, sensor), and what each one's last row is."""
    lasts = prepared.replay.rows[numbers]
    before = prepared.training.window - 1
    begin = int(lasts[0]) - before
    injected, marks = inject(values[begin : int(lasts[-1]) + 1], kind, usual, before + 1, rng)
    return injected[(lasts - begin)[:, None] + np.arange(-before, 1)], marks[lasts - begin]


def _outputs(
    prepared: Prepared, members: list[FoldModel], final: Scaling, held: HeldOut, stretches: list[Ints],
    windows: list[Floats],
) -> FoldOutputs:  # fmt: skip
    """Each stretch by the model that was not fitted on it."""
    outputs = []
    for stretch, batch in zip(stretches, windows, strict=True):
        member = members[int(held.block[stretch[0]])] if len(members) > 1 else members[0]
        outputs.append(outputs_of(member, prepared.training, final, [batch]))
    return joined(outputs)


def _components(held: HeldOut, stretches: list[Ints], vectors: dict[ComponentName, Floats]) -> HeldOutComponents:
    chosen = np.concatenate(stretches)
    reset_before = np.zeros(len(chosen), bool)
    reset_before[np.cumsum([0, *map(len, stretches[:-1])])] = True
    return HeldOutComponents(held.slots[chosen], reset_before, held.block[chosen], vectors)
