"""How good a training is, on normal data alone: never on labels, and never on rows that its networks were fitted on.

Each blocked fold is judged by a network fitted on the other folds. `detection`, the default: an anomaly is put into
each held-out window, and 1 - the area under the ROC curve says how often the windows with an anomaly do not
stand out from the same windows without. `reconstruction` is the mean loss on held-out windows: wider codes always lower
it, whether or not they reconstruct faults as well, and that is why it is not the default.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from detector.core.arrays import Floats
from schemas.training import Training
from trainer.data.history import History
from trainer.fitting.fit import loss_over
from trainer.fitting.members import FitTask, FoldModel, fit_member, scaled
from trainer.graph.graph import compare
from trainer.metrics.rows import area_under_roc
from trainer.parallel.progress import no_progress
from trainer.parallel.threads import one_thread
from trainer.recipe import MIN_WINDOWS
from trainer.replay import splits
from trainer.replay.prepare import Prepared, prepare
from trainer.scoring.injection import KINDS, MIN_ROWS, NormalRows

MAX_WINDOWS = 2000  # held-out windows of a fold that are judged
LASTING = [kind for kind in KINDS if kind != "spikes"]  # few spikes reach the last row
MAX_ROWS = 40  # of an anomaly
MIN_FOLDS = 2


@dataclass(frozen=True, slots=True)
class TrialLosses:
    """Lower is better, of both. Means over the folds."""

    detection: float  # 1 - area under the ROC curve
    reconstruction: float  # held-out loss in scaled units


AfterFold = Callable[[int, TrialLosses], None]  # number, and the mean up to it; may raise to end the trial


def judge(history: History, training: Training, after: AfterFold) -> TrialLosses:
    """Fits and judges every fold. Raises DataError where the history does not suit."""
    with one_thread():
        prepared = prepare(history, training)
        folds = splits.blocked(prepared.replay, max(training.folds, MIN_FOLDS))
        splits.check_sizes(prepared.replay, folds, MIN_WINDOWS, history.source)
        seen: list[TrialLosses] = []
        for number, fold in enumerate(folds):
            seen.append(_judge_fold(prepared, fold, number))
            after(number, _mean(seen))
    return _mean(seen)


def _judge_fold(prepared: Prepared, fold: splits.Split, number: int) -> TrialLosses:
    training = prepared.training
    inner = splits.validation(prepared.replay, fold.rest, training.validation_share)
    member = fit_member(prepared, FitTask(f"fold {number + 1}", inner, None), ("residual",), no_progress)
    windows = prepared.replay.windows(splits.thinned(fold.held, MAX_WINDOWS))
    # Sizes of normal residuals come from the windows that only ended the fit: the judged windows stay unseen.
    known = prepared.replay.windows(splits.thinned(inner.held, MAX_WINDOWS))
    sizes = np.maximum(np.sqrt((_residuals(member, known) ** 2).mean(axis=0)), 1e-3)
    anomalous = with_anomalies(windows, NormalRows.of(known[:, -1]), np.random.default_rng(training.seed + number))
    both = np.concatenate([_residuals(member, windows), _residuals(member, anomalous)]) / sizes
    labels = np.arange(len(both)) >= len(windows)
    area = area_under_roc(labels, (both.astype(np.float64) ** 2).mean(axis=1))
    loss = loss_over(member.network, scaled(member.preprocess, windows), training)
    return TrialLosses(1.0 - (area or 0.0), loss)


@torch.no_grad()
def _residuals(member: FoldModel, windows: Floats) -> Floats:
    """Of the last row, (window, sensor), scaled units."""
    found = compare(member.preprocess, member.network, torch.from_numpy(windows), slice(-1, None))
    return np.asarray(found.residual[:, -1].numpy())


def with_anomalies(windows: Floats, normal: NormalRows, rng: np.random.Generator) -> Floats:
    """Each window with an anomaly that has lasted to its last row, as long and as large whatever the window is."""
    rows, changed = windows.shape[1], windows.copy()
    for number, window in enumerate(windows):
        length = int(rng.integers(MIN_ROWS, MAX_ROWS + 1))
        before = np.repeat(window[:1], max(length - rows, 0), axis=0)  # what came before a short window is not known
        whole = np.concatenate([before, window])
        whole[-length:] = KINDS[LASTING[number % len(LASTING)]](whole[-length:], normal, rng)
        changed[number] = whole[-rows:]
    return changed


def _mean(seen: list[TrialLosses]) -> TrialLosses:
    means = np.mean([(one.detection, one.reconstruction) for one in seen], axis=0)
    return TrialLosses(*means.tolist())
