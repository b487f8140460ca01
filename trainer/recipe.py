"""A whole training, readable from top to bottom: history in, a fitted and calibrated bundle out. No file is touched."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from detector.bundles.store import DECODER, GOLDEN, MODEL
from detector.core.arrays import Doubles, Ints
from schemas.manifest import Choice, ComponentName, Scoring
from schemas.training import Training
from trainer.bundle.manifest import Calibrated, build_manifest
from trainer.bundle.result import Example, Fitted
from trainer.calibration.normal_scores import HeldOutScores, timing
from trainer.calibration.thresholds import calibrate_threshold
from trainer.data.history import History
from trainer.fitting.crew import Task, fit_members
from trainer.fitting.members import CHUNK, FoldModel, outputs_of, scaling_of
from trainer.graph import export
from trainer.graph.decoder import export_decoder
from trainer.graph.graph import Graph
from trainer.graph.parts import Parts, Standard
from trainer.graph.preprocess import Scaling
from trainer.parallel.progress import Progressing, Silent
from trainer.parallel.threads import one_thread
from trainer.replay import splits
from trainer.replay.prepare import Prepared, prepare
from trainer.scoring import held_out
from trainer.scoring.cases import synthetic_cases
from trainer.scoring.components import HeldOutComponents, standardised, standards
from trainer.scoring.covariance import drift_weights
from trainer.scoring.selection import SELECTABLE, Candidate, CandidateEvaluator, choose, describe_choice

MIN_WINDOWS = 50  # fewer cannot tell what is normal
PARITY_WINDOWS = 256
EXAMPLES = 4


def train(
    history: History,
    model: str,
    training: Training,
    parent: str | None = None,
    say: Progressing | None = None,
    *,
    decoder: bool = False,
    processes: int = 1,
) -> Fitted:
    """Fits, calibrates, exports. Raises DataError where the history does not suit; KeyboardInterrupt passes.

    decoder: also exports the way from a code back to a window, which costs about half of an export again.
    processes: how many networks may be fitted at a time; what comes out does not depend on it.
    """
    with one_thread():
        return _train(history, model, training, parent, say or Silent(), processes, decoder=decoder)


def _train(
    history: History, model: str, training: Training, parent: str | None, say: Progressing, processes: int, *,
    decoder: bool,
) -> Fitted:  # fmt: skip
    # 1. Sensors, period, and the windows that serving would score.
    prepared = prepare(history, training)

    # 2. The model itself: fitted on the earlier part of each chunk of time, stopped early on the rest. Beside it the
    #    same for each fold's blocks left out.
    names = _names(training)
    split = splits.validation(prepared.replay, np.arange(len(prepared.replay)), training.validation_share)
    parts = splits.blocked(prepared.replay, training.folds) if training.folds > 1 else []
    splits.check_sizes(prepared.replay, [split, *parts], MIN_WINDOWS, history.source)
    inner = [splits.validation(prepared.replay, part.rest, training.validation_share) for part in parts]
    final = scaling_of(prepared, split)
    tasks = [Task(f"fold {number + 1}", part, final) for number, part in enumerate(inner)]
    member, *others = fit_members(prepared, [Task("model", split, None), *tasks], names, say, processes)

    # 3. Residuals of windows that the network at hand never saw: block by block, or of the validation part.
    judges = list(zip(others, parts, strict=True)) or [(member, split)]
    blocks = [_held_out(prepared, one, part.held, member.scaling, n) for n, (one, part) in enumerate(judges)]
    held = held_out.join(blocks)

    # 4. Calibration: residual sizes, the scoring chain (chosen, where it is left to choose), the threshold.
    sizes = standards(held.outputs, member.scaling.constant)
    errors = held_out.standard_errors(held.outputs, sizes["residual"])
    chain = _chain(prepared, others or [member], member.scaling, held, sizes)
    times, row_s = prepared.replay.times[held.windows], training.stride * prepared.period_s
    delays = timing(training.threshold, prepared.period_s)
    normal = HeldOutScores(chain.scores, held.slots, times, held.reset_before, row_s, delays)
    calibration = calibrate_threshold(normal, training.threshold)
    calibrated = Calibrated(held, chain.scoring, chain.choice, calibration, normal)

    # 5. Export: one ONNX graph that gives what torch gives, and golden windows to prove it elsewhere.
    columns = tuple(component.name for component in chain.scoring.components)
    told = Parts(member.components.only(columns), columns, sizes) if columns else None
    size = torch.from_numpy(sizes["residual"].size)
    graph = Graph(member.preprocess, member.network, size, training.score, training.loss, told)
    exported = export.export_graph(graph, training.window, len(prepared.settings))
    sample = prepared.replay.windows(splits.thinned(held.windows, PARITY_WINDOWS))
    cases = export.golden_windows(sample, np.nanstd(sample, axis=(0, 1)), training.fill_limit)
    export.check_parity(graph, exported, np.concatenate([sample, cases]))
    files = {MODEL: exported, GOLDEN: export.golden_file(graph, cases)}
    if decoder:
        files[DECODER] = export_decoder(graph, export.run_torch(graph, sample)[3])

    # 6. The manifest, and what the report shows.
    curves = (member.curve, *(other.curve for other in others))
    return Fitted(
        manifest=build_manifest(model, parent, prepared, member.curve, calibrated, files),
        files=files,
        curves=curves,
        scores=chain.scores,
        sensor_errors=errors,
        examples=_examples(prepared, graph, calibrated),
        notes=(*history.notes, *_notes(prepared, member.scaling), *chain.notes),
    )


@dataclass(frozen=True, slots=True)
class _Chain:
    """How the score came about."""

    scoring: Scoring
    scores: Doubles  # (window,) held-out
    choice: Choice | None = None
    notes: tuple[str, ...] = ()


def _names(training: Training) -> tuple[ComponentName, ...]:
    """The parts that members must be able to give; the residual always, since the graph says it whatever the score."""
    wanted = {"residual", *(component.name for component in training.components)}
    if training.score == "auto":
        wanted |= {*SELECTABLE} - ({"forecast"} if training.window < 2 else set())
    return tuple(name for name in get_args(ComponentName) if name in wanted)


def _chain(
    prepared: Prepared,
    members: list[FoldModel],
    final: Scaling,
    held: held_out.HeldOut,
    sizes: dict[ComponentName, Standard],
) -> _Chain:
    training = prepared.training
    still = drift_weights([asset.values.astype(np.float64) for asset in prepared.history.assets])
    weights = still * final.weight
    if training.score not in {"auto", "sum"}:
        errors = held_out.standard_errors(held.outputs, sizes["residual"])
        windows = held_out.window_scores(held.outputs, sizes["residual"].size / final.weight, training.loss)
        raw = errors if training.score == "mahalanobis" else windows
        return _Chain(*held_out.calibrate_chain(held, raw, weights, training))
    evaluator = CandidateEvaluator(
        HeldOutComponents(held.slots, held.reset_before, held.block, standardised(held.outputs, sizes)), weights
    )
    if training.score == "sum":
        return _Chain(*evaluator.scoring(Candidate(training.components, training.score_alpha)))
    chosen, choice = choose(evaluator, training, synthetic_cases(prepared, members, final, held, sizes))
    return _Chain(*evaluator.scoring(chosen), choice, describe_choice(choice))


def _held_out(prepared: Prepared, member: FoldModel, held: Ints, final: Scaling, block: int) -> held_out.HeldOut:
    """What a model gives for windows that it never saw."""
    whole = prepared.replay
    batches = (whole.windows(held[begin : begin + CHUNK]) for begin in range(0, len(held), CHUNK))
    return held_out.HeldOut(
        windows=held,
        slots=whole.slots[held],
        reset_before=whole.reset_before[held] | np.r_[True, np.diff(held) > 1],
        block=np.full(len(held), block),
        outputs=outputs_of(member, prepared.training, final, batches),
    )


def _examples(prepared: Prepared, graph: Graph, calibrated: Calibrated) -> tuple[Example, ...]:
    """Held-out windows from the most ordinary to the strangest, as the graph rebuilds them."""
    held, scores = calibrated.held, calibrated.normal.scores
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
