"""A whole training, readable from top to bottom: history in, a fitted and calibrated bundle out. No file is touched."""

import numpy as np
import torch

from detector.bundles.store import DECODER, GOLDEN, MODEL
from detector.core.arrays import Floats
from schemas.manifest import ComponentName, Scoring
from schemas.training import Training
from trainer.bundle.examples import held_out_examples
from trainer.bundle.manifest import Calibrated, build_manifest
from trainer.bundle.result import Fitted
from trainer.calibration.normal_scores import held_out_scores
from trainer.calibration.thresholds import calibrate_threshold
from trainer.data.history import History
from trainer.fitting.members import FitTask, FoldModel, fit_members, scaling_of
from trainer.graph import export
from trainer.graph.components import Standard, StandardisedComponents
from trainer.graph.decoder import export_decoder
from trainer.graph.graph import Graph
from trainer.graph.preprocess import Scaling
from trainer.parallel.progress import OnProgress, no_progress
from trainer.parallel.threads import one_thread
from trainer.replay import splits
from trainer.replay.prepare import Prepared, prepare
from trainer.scoring.calibrated_score import calibrate_score, needed_components
from trainer.scoring.components import standards_of
from trainer.scoring.held_out import hold_out, standard_errors

MIN_WINDOWS = 50  # of each split: fewer cannot tell what is normal
PARITY_WINDOWS = 256  # on which ONNX is held to torch


@one_thread()
def train(
    history: History,
    model: str,
    training: Training,
    parent: str | None = None,
    on_progress: OnProgress = no_progress,
    *,
    decoder: bool = False,
    processes: int = 1,
) -> Fitted:
    """Fits, calibrates and exports. Blocks. Raises DataError where the history does not suit; KeyboardInterrupt passes.

    parent: the version that this one follows; on_progress: gets the events of the fits.
    decoder: also exports the way from a code back to a window, which takes half as long as the export again.
    processes: how many networks may be fitted at a time; the result does not depend on it.
    """
    # 1. Sensors, period, and the windows that serving would score.
    prepared = prepare(history, training)
    replay = prepared.replay

    # 2. The networks. The bundle's own is fitted on the earlier part of each chunk of time, and stopped early on the
    #    rest. Each fold's is fitted likewise, on what the fold leaves in.
    split = splits.validation(replay, np.arange(len(replay)), training.validation_share)
    folds = splits.blocked(replay, training.folds) if training.folds > 1 else []
    splits.check_sizes(replay, [split, *folds], MIN_WINDOWS, history.source)
    scaling = scaling_of(prepared, split)
    tasks = [FitTask("model", split, None)]
    for number, fold in enumerate(folds):
        within = splits.validation(replay, fold.rest, training.validation_share)
        tasks.append(FitTask(f"fold {number + 1}", within, scaling))
    final, *fold_models = fit_members(prepared, tasks, needed_components(training), on_progress, processes)

    # 3. Outputs for windows that a network never saw: block by block, or of the validation part where no fold is held
    #    out.
    models = fold_models or [final]
    held = hold_out(prepared, [(each, part.held) for each, part in zip(models, folds or [split], strict=True)], scaling)

    # 4. Calibration on these windows: what each component is divided by, the score, the threshold.
    standards = standards_of(held.outputs, scaling.constant)
    score = calibrate_score(prepared, models, scaling, held, standards)
    scores = held_out_scores(prepared, held, score.scores)
    threshold = calibrate_threshold(scores, training.threshold)

    # 5. Export: one ONNX graph that gives what torch gives, and golden windows that prove it elsewhere.
    sample = replay.windows(splits.thinned(held.windows, PARITY_WINDOWS))
    graph = _graph(training, final, score.scoring, standards)
    files = _files(graph, sample, prepared, decoder=decoder)

    # 6. The manifest, and what the report shows.
    calibrated = Calibrated(held, score.scoring, score.choice, threshold, scores)
    return Fitted(
        manifest=build_manifest(model, parent, prepared, final.curve, calibrated, files),
        files=files,
        curves=(final.curve, *(each.curve for each in fold_models)),
        scores=score.scores,
        sensor_errors=standard_errors(held.outputs, standards["residual"]),
        examples=held_out_examples(prepared, graph, calibrated),
        notes=(*history.notes, *_notes(prepared, scaling), *score.notes),
    )


def _graph(training: Training, final: FoldModel, scoring: Scoring, standards: dict[ComponentName, Standard]) -> Graph:
    """The bundle's network and what stands beside it, as one torch module."""
    names = tuple(component.name for component in scoring.components)
    components = StandardisedComponents(final.components.only(names), names, standards) if names else None
    size = torch.from_numpy(standards["residual"].size)
    return Graph(final.preprocess, final.network, size, training.score, training.loss, components)


def _files(graph: Graph, sample: Floats, prepared: Prepared, *, decoder: bool) -> dict[str, bytes]:
    """The bundle's files by name. sample: (window, row, sensor) on which ONNX is held to torch."""
    training = prepared.training
    exported = export.export_graph(graph, training.window, len(prepared.settings))
    golden = export.golden_windows(sample, np.nanstd(sample, axis=(0, 1)), training.fill_limit)
    export.check_parity(graph, exported, np.concatenate([sample, golden]))
    files = {MODEL: exported, GOLDEN: export.golden_file(graph, golden)}
    if decoder:
        files[DECODER] = export_decoder(graph, export.run_torch(graph, sample)[3])
    return files


def _notes(prepared: Prepared, scaling: Scaling) -> list[str]:
    """For people: what the data and the settings made of each other."""
    names = prepared.history.sensors
    constant = [name for name, still in zip(names, scaling.constant, strict=True) if still]
    notes = []
    if constant:
        notes.append(f"constant in training, so any change of it counts in its own units: {', '.join(constant)}")
    total = len(prepared.replay)
    if total > prepared.training.max_windows:
        notes.append(f"{total} windows were thinned to {prepared.training.max_windows} for fitting")
    return notes
