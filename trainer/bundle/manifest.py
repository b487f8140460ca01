"""The manifest of a training: what the detector must know of the model beside its graph."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from detector.core.rounding import six_digits
from schemas.manifest import Calibration, Choice, FileEntry, Manifest, Scoring, Sensor, TrainingData
from trainer.calibration.drift_reference import drift_reference, stuck_rows
from trainer.calibration.normal_scores import HeldOutScores
from trainer.fitting.fit import Curve
from trainer.graph.export import TOLERANCE
from trainer.networks.config import network_config
from trainer.replay.prepare import Prepared
from trainer.scoring.held_out import HeldOut

LIBRARIES = ("torch", "onnx", "onnxruntime", "numpy", "watchkeeper")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The held-out windows, and the score and threshold that were calibrated on them."""

    held: HeldOut
    scoring: Scoring
    choice: Choice | None  # how the score was chosen
    calibration: Calibration
    scores: HeldOutScores


def build_manifest(
    model: str, parent: str | None, prepared: Prepared, curve: Curve, calibrated: Calibrated, files: dict[str, bytes]
) -> Manifest:
    """curve: of the model's own fit; files: by name."""
    history, training, period = prepared.history, prepared.training, prepared.period_s
    fingerprint, created = history.fingerprint(), datetime.now(UTC)
    start, end = history.span
    names, held = history.sensors, calibrated.held
    values = np.concatenate([asset.values for asset in history.assets])[prepared.replay.rows[held.windows]]
    return Manifest(
        model=model,
        model_version=f"{created:%Y%m%dT%H%M%S}-{fingerprint[:6]}",
        parent_version=parent,
        created=created,
        family=training.family,
        sensors=tuple(_sensor(prepared, column) for column in range(len(names))),
        window=training.window,
        stride=training.stride,
        period_s=period,
        max_gap_s=prepared.shape.max_gap_s,
        fill_limit=training.fill_limit,
        latent=network_config(training, len(names)).latent,
        scoring=calibrated.scoring,
        choice=calibrated.choice,
        calibration=calibrated.calibration,
        timing=calibrated.scores.timing,
        drift=drift_reference(names, held.slots, calibrated.scores.scores, values.astype(np.float64), training.window),
        training=TrainingData(
            fingerprint=fingerprint, rows=history.rows, assets=tuple(asset.name for asset in history.assets),
            start=start, end=end, source=history.source,
        ),
        metrics=_metrics(curve, calibrated),
        libraries={name: version(name) for name in LIBRARIES},
        golden_tolerance=TOLERANCE,
        files={
            name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
            for name, data in files.items()
        },
    )  # fmt: skip


def _sensor(prepared: Prepared, column: int) -> Sensor:
    settings = prepared.settings[column]
    return Sensor(
        name=prepared.history.sensors[column], unit=settings.unit, low=settings.low, high=settings.high,
        # A state may well last longer than it ever did in the history.
        stuck_rows=None if settings.categories else stuck_rows(prepared.history.assets, column),
    )  # fmt: skip


def _metrics(curve: Curve, calibrated: Calibrated) -> dict[str, float]:
    outputs, scores, by = calibrated.held.outputs, calibrated.scores, calibrated.calibration
    squares = (outputs.components["residual"] ** 2).sum()
    figures = {
        "training_loss": curve.train[curve.best_epoch],
        "validation_loss": curve.validation[curve.best_epoch],
        "best_epoch": curve.best_epoch + 1,
        "held_out_windows": len(scores.scores),
        "held_out_rmse": float(np.sqrt(squares / max(outputs.present.sum(), 1))),  # scaled units
        "held_out_above_threshold": float((scores.scores > by.threshold).mean()),
        "held_out_alarms": scores.alarms(by.threshold, by.lower_threshold),
        "held_out_weeks": scores.weeks,
    }
    return {name: six_digits(value) for name, value in figures.items()}
