"""Windows that the network at hand was not fitted on, and what it gives for them.

Nothing is measured by what it was fitted on. Each block of the history is scored by a network that never saw it, and by
a centre and a covariance of the other blocks; the threshold is set on these scores. The bundle then carries the network
that was fitted last and the covariance of all blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from detector.core.arrays import Bools, Doubles, Floats, Ints
from trainer.fitting.members import CHUNK, FoldModel
from trainer.fitting.outputs import FoldOutputs, joined, outputs_of
from trainer.graph.components import ERROR_LIMIT, Standard
from trainer.graph.preprocess import Scaling
from trainer.networks.losses import squares
from trainer.replay.prepare import Prepared


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Windows that the scoring network was not fitted on, by asset and in time order within one."""

    windows: Ints  # (window,) numbers of the replay
    slots: Ints  # (window,)
    reset_before: Bools  # (window,) memory is empty before it
    block: Ints  # (window,) held-out block
    outputs: FoldOutputs  # what the network and the components beside it give for them


def hold_out(prepared: Prepared, scored: Sequence[tuple[FoldModel, Ints]], scaling: Scaling) -> HeldOut:
    """Each model's outputs for windows that it never saw, in the units of `scaling`."""
    return join([_block(prepared, model, held, scaling, number) for number, (model, held) in enumerate(scored)])


def join(blocks: list[HeldOut]) -> HeldOut:
    """The blocks of all folds, in the replay's own order; a single block is cut into two halves in time."""
    order = np.argsort(np.concatenate([block.windows for block in blocks]), kind="stable")
    names = [field.name for field in fields(HeldOut) if field.name != "outputs"]
    cells = {name: np.concatenate([getattr(block, name) for block in blocks])[order] for name in names}
    held = HeldOut(**cells, outputs=joined([block.outputs for block in blocks]).at(order))
    return held if len(blocks) > 1 else replace(held, block=_halves(held.slots))


def standard_errors(outputs: FoldOutputs, standard: Standard) -> Floats:
    """What the graph's `sensor_error` would be, (window, sensor)."""
    return np.asarray(np.clip(outputs.components["residual"] / standard.size, -ERROR_LIMIT, ERROR_LIMIT), np.float32)


def window_scores(outputs: FoldOutputs, sizes: Doubles, loss: str) -> Floats:
    """What the graph's `score` would be, (window, 1). sizes: (sensor,) that residuals are divided by."""
    unit = sizes**2 if squares(loss) else sizes
    total = (outputs.spread / unit).sum(axis=1) + outputs.uncertainty
    return np.asarray(total / np.maximum(outputs.count, 1), np.float32)[:, None]


def _block(prepared: Prepared, model: FoldModel, held: Ints, scaling: Scaling, number: int) -> HeldOut:
    whole = prepared.replay
    batches = (whole.windows(held[begin : begin + CHUNK]) for begin in range(0, len(held), CHUNK))
    return HeldOut(
        windows=held,
        slots=whole.slots[held],
        reset_before=whole.reset_before[held] | np.r_[True, np.diff(held) > 1],
        block=np.full(len(held), number),
        outputs=outputs_of(model, prepared.training, scaling, batches),
    )


def _halves(slots: Ints) -> Ints:
    """Two halves in time of each asset's windows."""
    count = np.bincount(slots)
    rank = np.arange(len(slots)) - np.concatenate([[0], np.cumsum(count)])[slots]
    return np.asarray(rank * 2 // np.maximum(count[slots], 1), np.int64)
