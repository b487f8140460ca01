"""A bundle that is small enough to reason about: each sensor is expected at its centre, whatever the window holds.

Its arithmetic in numpy stands beside its graph in ONNX, so that the golden values do not come from the graph itself.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from detector.bundles.store import DECODER, GOLDEN, MODEL, Store
from schemas.manifest import Calibration, FileEntry, Golden, Manifest, Scoring, Sensor, Timing, TrainingData

SENSORS = ("flow", "temperature")
CENTRE = np.array([10.0, 50.0], np.float32)  # (sensor,)
SPREAD = np.array([2.0, 5.0], np.float32)  # (sensor,)
WINDOW = 3
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tiny:
    """A bundle that is not in a store yet."""

    manifest: Manifest
    files: dict[str, bytes]

    def publish(self, store: Store) -> "Tiny":
        """Puts it into a store, as the trainer does."""
        store.publish(self.manifest, self.files, {})
        return self


def expected(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(score (batch,), sensor_error (batch, sensor)) of windows (batch, window, sensor); NaN = missing."""
    last = windows[:, -1, :]
    error = np.where(np.isnan(last), np.float32(0), (last - CENTRE) / SPREAD).astype(np.float32)
    return np.asarray((error**2).mean(axis=1), np.float32), error


def graph(window: int = WINDOW, element: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """The graph of the same arithmetic, with the four outputs that the detector asks for."""
    sensors = len(SENSORS)
    constants = {"centre": CENTRE, "spread": SPREAD, "zero": np.float32(0)}
    constants |= {"last": np.array([window - 1]), "end": np.array([window]), "one": np.array([1])}
    constants["none"] = np.array([0])
    nodes = [
        helper.make_node("IsNaN", ["window"], ["missing"]),
        helper.make_node("Where", ["missing", "centre", "window"], ["filled"]),
        helper.make_node("Mul", ["filled", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "centre"], ["reconstruction"]),
        helper.make_node("Slice", ["filled", "last", "end", "one"], ["final_row"]),
        helper.make_node("Squeeze", ["final_row", "one"], ["final"]),
        helper.make_node("Sub", ["final", "centre"], ["off"]),
        helper.make_node("Div", ["off", "spread"], ["sensor_error"]),
        helper.make_node("Mul", ["sensor_error", "sensor_error"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["score"], axes=[1], keepdims=0),
        helper.make_node("Slice", ["sensor_error", "none", "one", "one"], ["latent"]),
    ]
    shapes: dict[str, list[str | int | None]] = {
        "score": ["batch"],
        "sensor_error": ["batch", sensors],
        "reconstruction": ["batch", window, sensors],
        "latent": ["batch", 1],
    }
    body = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("window", element, ["batch", window, sensors])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def decoder() -> onnx.ModelProto:
    """A decoder: every row of the window is centre + code * spread."""
    constants = {"centre": CENTRE, "spread": SPREAD, "rows": np.array([1]), "times": np.array([1, WINDOW, 1])}
    nodes = [
        helper.make_node("Mul", ["code", "spread"], ["off"]),
        helper.make_node("Add", ["off", "centre"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "rows"], ["only"]),
        helper.make_node("Tile", ["only", "times"], ["window"]),
    ]
    body = helper.make_graph(
        nodes,
        "tiny_decoder",
        [helper.make_tensor_value_info("code", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", WINDOW, len(SENSORS)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def golden_file() -> bytes:
    """Two windows, one of them with missing cells."""
    windows = np.array([[[9, 45], [10, 50], [12, 40]], [[10, 55], [np.nan, 50], [np.nan, 60]]], np.float32)
    score, error = expected(windows)
    return (
        Golden(
            windows=tuple(
                tuple(tuple(None if np.isnan(cell) else float(cell) for cell in row) for row in window)
                for window in windows
            ),
            score=tuple(map(float, score)),
            sensor_error=tuple(tuple(map(float, row)) for row in error),
        )
        .model_dump_json()
        .encode()
    )


def tiny(
    version: str = "v1",
    *,
    model: str = "pumps",
    onnx_bytes: bytes | None = None,
    golden: bytes | None = None,
    decodes: bool = False,
) -> Tiny:
    """A complete bundle; its parts may be replaced by bad ones, whose hashes then still agree."""
    files = {
        MODEL: graph().SerializeToString() if onnx_bytes is None else onnx_bytes,
        GOLDEN: golden_file() if golden is None else golden,
    }
    if decodes:
        files[DECODER] = decoder().SerializeToString()
    return Tiny(_manifest(model, version, files), files)


def _manifest(model: str, version: str, files: dict[str, bytes]) -> Manifest:
    return Manifest(
        model=model,
        model_version=version,
        created=WHEN,
        family="tiny",
        sensors=(Sensor(name="flow", unit="l/min"), Sensor(name="temperature", unit="°C")),
        window=WINDOW,
        period_s=1.0,
        max_gap_s=10.0,
        fill_limit=0.5,
        latent=1,
        scoring=Scoring(method="graph"),
        calibration=Calibration(
            method="percentile",
            parameters={"percentile": 99.0},
            threshold=4.0,
            lower_threshold=3.0,
            windows=100,
            quantiles={"0.5": 1.0},
            mean=1.0,
            sd=0.5,
        ),
        timing=Timing(on_delay_s=2.0, off_delay_s=3.0),
        drift=None,
        training=TrainingData(
            fingerprint="0" * 64, rows=100, assets=("pump-1",), start=WHEN, end=WHEN, source="history.csv"
        ),
        metrics={"validation_loss": 0.5},
        libraries={"onnx": onnx.__version__},
        golden_tolerance=1e-4,
        files={
            name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
            for name, data in files.items()
        },
    )
