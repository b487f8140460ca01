"""A whole training, readable from top to bottom: history in, a fitted and calibrated bundle out. No file is touched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detector.store import DECODER, GOLDEN, MODEL
from schemas.config import Training
from trainer import calibrate, export, folds
from trainer.covariance import drift_weights
from trainer.decoder import export_decoder
from trainer.fit import Scaled, fit
from trainer.fitted import Curve, Example, Fitted
from trainer.graph import Graph, compare, scored_rows
from trainer.history import History
from trainer.losses import squares
from trainer.manifest import Calibrated, build_manifest
from trainer.prepare import Prepared, prepare
from trainer.preprocess import Preprocess, Scaling, fit_scaling
from trainer.progress import Progressing, Silent

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LEAST_WINDOWS = 50  # fewer cannot tell what is normal
STATISTICS_WINDOWS = 20_000  # enough for means and quartiles
CHUNK = 8192  # windows at once, where nothing is learnt
PARITY_WINDOWS = 256
EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class Member:
    """One fitted network with its own scaling."""

    scaling: Scaling
    preprocess: Preprocess
    network: nn.Module
    curve: Curve


def train(
    history: History,
    model: str,
    training: Training,
    parent: str | None = None,
    say: Progressing | None = None,
    *,
    decoder: bool = False,
) -> Fitted:
    """Fits, calibrates, exports. Raises DataError where the history does not suit; KeyboardInterrupt passes.

    decoder: also exports the way from a code back to a window, which costs about half of an export again.
    """
    with one_thread():
        return _train(history, model, training, parent, say or Silent(), decoder=decoder)


def _train(
    history: History, model: str, training: Training, parent: str | None, say: Progressing, *, decoder: bool
) -> Fitted:
    # 1. Sensors, period, and the windows that serving would score.
    prepared = prepare(history, training)

    # 2. The model itself: fitted on the earlier part of each chunk of time, stopped early on the rest.
    split = folds.validation(prepared.replay, np.arange(len(prepared.replay)), training.validation_share)
    parts = folds.blocked(prepared.replay, training.folds) if training.folds > 1 else []
    folds.check_sizes(prepared.replay, [split, *parts], LEAST_WINDOWS, history.source)
    member = fit_member("model", prepared, split, None, say)

    # 3. Residuals of windows that the network at hand never saw: block by block, or of the validation part.
    curves = [member.curve]
    blocks = [] if parts else [_residuals(prepared, member, split.held, member.scaling, 0)]
    for number, part in enumerate(parts):
        inner = folds.validation(prepared.replay, part.rest, training.validation_share)
        other = fit_member(f"fold {number + 1}", prepared, inner, member.scaling, say)
        curves.append(other.curve)
        blocks.append(_residuals(prepared, other, part.held, member.scaling, number))
    held = calibrate.join(blocks)

    # 4. Calibration: residual sizes, the scoring chain, the threshold.
    sizes = calibrate.error_sizes(held, member.scaling.constant)
    errors = calibrate.standard_errors(held, sizes)
    raw = (
        errors
        if training.score == "mahalanobis"
        else calibrate.window_scores(held, sizes / member.scaling.weight, training.loss)
    )
    still = drift_weights([asset.values.astype(np.float64) for asset in prepared.history.assets])
    scoring, scores = calibrate.calibrate_chain(held, raw, still * member.scaling.weight, training)
    calibration = calibrate.calibrate_threshold(scores, training.threshold)
    calibrated = Calibrated(held, scoring, calibration, scores)

    # 5. Export: one ONNX graph that gives what torch gives, and golden windows to prove it elsewhere.
    graph = Graph(member.preprocess, member.network, torch.from_numpy(sizes), training.score, training.loss)
    exported = export.export_graph(graph, training.window, len(prepared.settings))
    sample = prepared.replay.windows(folds.thinned(held.windows, PARITY_WINDOWS))
    cases = export.golden_windows(sample, np.nanstd(sample, axis=(0, 1)), training.fill_limit)
    export.check_parity(graph, exported, np.concatenate([sample, cases]))
    files = {MODEL: exported, GOLDEN: export.golden_file(graph, cases)}
    if decoder:
        files[DECODER] = export_decoder(graph, export.run_torch(graph, sample)[3])

    # 6. The manifest, and what the report shows.
    return Fitted(
        manifest=build_manifest(model, parent, prepared, member.curve, calibrated, files),
        files=files,
        curves=tuple(curves),
        scores=scores,
        sensor_errors=errors,
        examples=_examples(prepared, graph, calibrated),
        notes=(*history.notes, *_notes(prepared, member.scaling)),
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """The networks are small: more threads only wait for each other, and sums would depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit_member(name: str, prepared: Prepared, part: folds.Part, whole: Scaling | None, say: Progressing) -> Member:
    """Scales and fits on `part.rest`, stops early on `part.held`. whole: the model's scaling, for a fold."""
    training = prepared.training
    chosen = folds.thinned(part.rest, training.max_windows)
    windows = prepared.replay.windows(chosen)
    known = windows[folds.thinned(np.arange(len(windows)), STATISTICS_WINDOWS)]
    scaling = fit_scaling(known, training, prepared.settings, whole)
    preprocess = Preprocess(scaling)
    data = scaled(preprocess, windows)
    validation = scaled(preprocess, prepared.replay.windows(folds.thinned(part.held, training.max_windows)))
    say.begin(name, training.epochs)
    network, curve = fit(name, data, validation, training, say.epoch)
    say.done(name, curve.best_epoch, curve.validation[curve.best_epoch])
    return Member(scaling, preprocess, network, curve)


@torch.no_grad()
def scaled(preprocess: Preprocess, windows: Floats) -> Scaled:
    """Windows (window, row, sensor) in engineering units as a network sees them."""
    parts = [preprocess(torch.from_numpy(windows[b : b + CHUNK])) for b in range(0, len(windows), CHUNK)]
    values = torch.cat([values for values, _ in parts])
    return Scaled(values, preprocess.shown(values), torch.cat([present for _, present in parts]), preprocess.hidden())


@torch.no_grad()
def _residuals(prepared: Prepared, member: Member, held: Ints, final: Scaling, block: int) -> calibrate.HeldOut:
    """What a member gets wrong on windows it never saw, in the final scaling's units."""
    ratio = member.scaling.scale / final.scale
    rows, squared = scored_rows(prepared.training.score), squares(prepared.training.loss)
    last, there, spread, count, doubt = [], [], [], [], []
    for begin in range(0, len(held), CHUNK):
        windows = torch.from_numpy(prepared.replay.windows(held[begin : begin + CHUNK]))
        found = compare(member.preprocess, member.network, windows, rows)
        wrong = found.residual.numpy() * ratio
        last.append(wrong[:, -1])
        there.append(found.present[:, -1].numpy())
        spread.append((wrong**2 if squared else np.abs(wrong)).sum(axis=1))
        count.append(found.present.sum(dim=(1, 2)).numpy())
        doubt.append(np.zeros(len(wrong)) if found.doubt is None else found.doubt.sum(dim=(1, 2)).double().numpy())
    whole = prepared.replay
    return calibrate.HeldOut(
        windows=held,
        slots=whole.slots[held],
        fresh=whole.fresh[held] | np.r_[True, np.diff(held) > 1],
        block=np.full(len(held), block),
        residual=np.concatenate(last),
        present=np.concatenate(there),
        spread=np.concatenate(spread),
        count=np.concatenate(count),
        doubt=np.concatenate(doubt),
    )


def _examples(prepared: Prepared, graph: Graph, calibrated: Calibrated) -> tuple[Example, ...]:
    """Held-out windows from the most ordinary to the strangest, as the graph rebuilds them."""
    held, scores = calibrated.held, calibrated.scores
    order = np.argsort(scores, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)]
    times = np.concatenate([asset.times for asset in prepared.history.assets])
    examples = []
    for place in chosen.tolist():
        number = held.windows[place : place + 1]
        observed = prepared.replay.windows(number)
        row = int(prepared.replay.rows[number[0]])
        examples.append(
            Example(
                asset=prepared.history.assets[int(held.slots[place])].name,
                times=times[row - prepared.training.window + 1 : row + 1],
                observed=observed[0],
                reconstruction=export.run_torch(graph, observed)[2][0],
                score=float(scores[place]),
            )
        )
    return tuple(examples)


def _notes(prepared: Prepared, scaling: Scaling) -> list[str]:
    """What a person should know of the data."""
    names = prepared.history.sensors
    constant = [name for name, still in zip(names, scaling.constant, strict=True) if still]
    notes = []
    if constant:
        notes.append(f"constant in training, so any change of it counts in its own units: {', '.join(constant)}")
    total = len(prepared.replay)
    if total > prepared.training.max_windows:
        notes.append(f"{total} windows were thinned to {prepared.training.max_windows} for fitting")
    return notes
