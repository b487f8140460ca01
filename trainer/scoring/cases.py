"""Held-out windows with made-up anomalies in them, judged by the networks that never saw these windows."""

import numpy as np

from detector.core.arrays import Bytes, Floats, Ints
from schemas.manifest import ComponentName
from trainer.fitting.members import FoldModel, FoldOutputs, joined, outputs_of
from trainer.graph.parts import Standard
from trainer.graph.preprocess import Scaling
from trainer.replay.prepare import Prepared
from trainer.scoring.components import Evidence, standardised
from trainer.scoring.held_out import HeldOut
from trainer.scoring.injection import KINDS, Usual, spoil
from trainer.scoring.selection import Spoiled

# So many windows tell two scores apart, and more only take longer: of a long history some stretches are taken.
WINDOWS = 4000
STRETCH = 400
# They are spoiled several times, each time otherwise: how the draws scatter tells a lead from luck.
ENOUGH = 8000
LEAST_TIMES, MOST_TIMES = 2, 6


def rehearse(
    prepared: Prepared,
    members: list[FoldModel],
    final: Scaling,
    held: HeldOut,
    standards: dict[ComponentName, Standard],
) -> list[Spoiled]:
    """All kinds of anomaly in the same stretches. members: by held-out block, or one for all."""
    values = np.concatenate([asset.values for asset in prepared.history.assets])
    usual, stretches = Usual.of(values), _stretches(held)
    if not len(usual.live):
        return []
    times = int(np.clip(ENOUGH // sum(map(len, stretches)), LEAST_TIMES, MOST_TIMES))
    cases = []
    for time in range(times):
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([prepared.training.seed, time, number])
            made = [_windows(prepared, values, held.windows[stretch], kind, usual, rng) for stretch in stretches]
            marks = np.concatenate([one for _, one in made])
            outputs = _outputs(prepared, members, final, held, stretches, [windows for windows, _ in made])
            cases.append(Spoiled(kind, _evidence(held, stretches, standardised(outputs, standards)), marks))
    return cases


def _stretches(held: HeldOut) -> list[Ints]:
    """Places among the held-out windows: stretches of one block and one asset without a gap, the last of each."""
    begins = held.reset_before | (np.diff(held.block, prepend=held.block[0]) != 0)
    runs = np.split(np.arange(len(held.windows)), np.flatnonzero(begins[1:]) + 1)
    length = max(WINDOWS // len(runs), STRETCH)
    step = max(len(runs) * length // WINDOWS, 1)
    return [run[-length:] for run in runs[::step]]


def _windows(
    prepared: Prepared, values: Floats, numbers: Ints, kind: str, usual: Usual, rng: np.random.Generator
) -> tuple[Floats, Bytes]:
    """Spoiled windows (window, row, sensor), and what each one's last row is."""
    lasts = prepared.replay.rows[numbers]
    before = prepared.training.window - 1
    begin = int(lasts[0]) - before
    spoiled, marks = spoil(values[begin : int(lasts[-1]) + 1], kind, usual, before + 1, rng)
    return spoiled[(lasts - begin)[:, None] + np.arange(-before, 1)], marks[lasts - begin]


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


def _evidence(held: HeldOut, stretches: list[Ints], vectors: dict[ComponentName, Floats]) -> Evidence:
    chosen = np.concatenate(stretches)
    reset_before = np.zeros(len(chosen), bool)
    reset_before[np.cumsum([0, *map(len, stretches[:-1])])] = True
    return Evidence(held.slots[chosen], reset_before, held.block[chosen], vectors)
