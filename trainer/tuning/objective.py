"""How good a training is, on normal data alone: never on labels, and never on rows that its networks were fitted on.

Each blocked fold is judged by a network fitted on the other folds. `detection`, the default: an anomaly is put into
each held-out window, and 1 - the area under the ROC curve says how often the spoiled windows do not stand out from
the same windows unspoiled. `reconstruction` is the mean loss on held-out windows: wider codes always
lower it, whether or not they rebuild faults as well, and that is why it is not the default.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from schemas.config import Training
from trainer import folds
from trainer.fit import loss_over
from trainer.graph import compare
from trainer.history import History
from trainer.members import Member, fit_member, scaled
from trainer.metrics import area_under_roc
from trainer.prepare import Prepared, prepare
from trainer.progress import Silent
from trainer.recipe import LEAST_WINDOWS, one_thread

Floats = NDArray[np.float32]

MOST_WINDOWS = 2000  # held-out windows of a fold that are judged
SIZES = (1.0, 2.0, 4.0)  # of an anomaly, in the sensor's own standard deviations
KINDS = ("shift", "drift", "noise", "flat", "other time")
LONGEST = 10  # rows
LEAST_FOLDS = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """Lower is better, of both. Means over the folds."""

    detection: float  # 1 - area under the ROC curve
    reconstruction: float  # held-out loss in scaled units


Fold = Callable[[int, Judged], None]  # number, and the mean up to it; may raise to end the trial


def judge(history: History, training: Training, after: Fold) -> Judged:
    """Fits and judges every fold. Raises DataError where the history does not suit."""
    with one_thread():
        prepared = prepare(history, training)
        parts = folds.blocked(prepared.replay, max(training.folds, LEAST_FOLDS))
        folds.check_sizes(prepared.replay, parts, LEAST_WINDOWS, history.source)
        seen: list[Judged] = []
        for number, part in enumerate(parts):
            seen.append(_judge_fold(prepared, part, number))
            after(number, _mean(seen))
    return _mean(seen)


def _judge_fold(prepared: Prepared, part: folds.Part, number: int) -> Judged:
    training = prepared.training
    inner = folds.validation(prepared.replay, part.rest, training.validation_share)
    member = fit_member(f"fold {number + 1}", prepared, inner, None, Silent())
    windows = prepared.replay.windows(folds.thinned(part.held, MOST_WINDOWS))
    # Sizes of normal residuals come from the part that only ended the fit: the judged windows stay unseen.
    known = prepared.replay.windows(folds.thinned(inner.held, MOST_WINDOWS))
    sizes = np.maximum(np.sqrt((_residuals(member, known) ** 2).mean(axis=0)), 1e-3)
    spoiled = spoil(windows, np.nanstd(known, axis=(0, 1)), np.random.default_rng(training.seed + number))
    both = np.concatenate([_residuals(member, windows), _residuals(member, spoiled)]) / sizes
    labels = np.arange(len(both)) >= len(windows)
    area = area_under_roc(labels, (both.astype(np.float64) ** 2).mean(axis=1))
    loss = loss_over(member.network, scaled(member.preprocess, windows), training)
    return Judged(1.0 - (area or 0.0), loss)


@torch.no_grad()
def _residuals(member: Member, windows: Floats) -> Floats:
    """Of the last row, (window, sensor), scaled units."""
    found = compare(member.preprocess, member.network, torch.from_numpy(windows), slice(-1, None))
    return np.asarray(found.residual[:, -1].numpy())


def spoil(windows: Floats, spread: Floats, random: np.random.Generator) -> Floats:
    """Each window with one anomaly in one sensor of its last rows. spread: (sensor,) engineering units."""
    count, rows, sensors = windows.shape
    spoiled, others = windows.copy(), random.permutation(count)
    columns: list[int] = random.integers(sensors, size=(count,)).tolist()
    kinds: list[str] = random.choice(KINDS, size=(count,)).tolist()
    signs = random.choice([-1.0, 1.0], size=(count,))
    sizes: list[float] = (random.choice(SIZES, size=(count,)) * signs).tolist()
    lengths: list[int] = random.integers(1, LONGEST + 1, size=(count,)).tolist()  # rows, whatever the window is
    for number in range(count):
        kind, place = kinds[number], (slice(-min(lengths[number], rows), None), columns[number])
        size = float(sizes[number] * spread[columns[number]])
        spoiled[number][place] = _spoilt(kind, windows[number][place], size, windows[others[number]][place], random)
    return spoiled


def _spoilt(kind: str, values: Floats, size: float, other: Floats, random: np.random.Generator) -> Floats | float:
    if kind == "shift":
        return values + np.float32(size)
    if kind == "drift":
        return np.asarray(values + size * np.linspace(1 / len(values), 1, len(values)), np.float32)
    if kind == "noise":
        return np.asarray(values + size * random.choice([-1.0, 1.0], size=len(values)), np.float32)
    if kind == "flat":
        return float(values[0] + size / 2)
    return other  # correlation with the other sensors is broken


def _mean(seen: list[Judged]) -> Judged:
    return Judged(float(np.mean([one.detection for one in seen])), float(np.mean([one.reconstruction for one in seen])))
