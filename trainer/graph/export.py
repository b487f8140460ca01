"""The torch graph as ONNX bytes, checked against torch, and the golden windows that the detector checks again."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from detector.core.arrays import Floats
from detector.errors import BundleError
from schemas.manifest import Golden
from trainer.graph.graph import Graph

OPSET = 20  # read by every onnxruntime in pyproject's range
TOLERANCE = 1e-3  # relative; other processors add up in another order
GOLDEN_WINDOWS = 6


def export_graph(graph: Graph, window: int, sensors: int) -> bytes:
    """The whole graph as one file."""
    graph.eval()
    return to_onnx(graph, torch.zeros(2, window, sensors), "window", graph.outputs)


def to_onnx(module: nn.Module, sample: Tensor, input_name: str, outputs: tuple[str, ...]) -> bytes:
    """One self-contained file, not optimised: onnxruntime optimises for the machine that loads it.

    sample: what it is traced with, (batch, ...); input_name, outputs: the names of the input and the outputs.
    """
    with _quiet():
        program = torch.onnx.export(
            module,
            (sample,),
            input_names=[input_name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _clear_annotations(model)
    return bytes(model.SerializeToString())


def _clear_annotations(message: Any) -> None:
    """Takes away what torch notes in a protobuf message: stack traces, with the paths of the machine that trained.

    They are more than half of a small graph, and nobody who loads it reads them.
    """
    for name in ("metadata_props", "doc_string"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _clear_annotations(inner)


def open_session(exported: bytes) -> onnxruntime.InferenceSession:
    """The exported bytes in onnxruntime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # a person need not know what it cannot fold at load
    return onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])


def check_parity(graph: Graph, exported: bytes, windows: Floats) -> None:
    """Raises BundleError where onnxruntime and torch disagree by more than TOLERANCE of an output's size."""
    got = open_session(exported).run(list(graph.outputs), {"window": windows})
    for name, one, other in zip(graph.outputs, got, run_torch(graph, windows), strict=True):
        check_close(name, one, other)


def check_close(name: str, got: Floats, want: Floats) -> None:
    """Raises BundleError where an exported output is not torch's."""
    scale = float(np.abs(want).max(initial=1e-3))
    if not np.allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE * scale):
        worst = float(np.abs(np.asarray(got) - want).max()) / scale
        raise BundleError(
            f"the exported graph's {name} differs from torch's by {worst:.1e} of its size",
            "report this with your versions of torch and onnxruntime; nothing was published",
        )


@torch.no_grad()
def run_torch(graph: Graph, windows: Floats) -> tuple[Floats, ...]:
    """The graph's outputs for windows (batch, window, sensor)."""
    graph.eval()
    return tuple(output.numpy() for output in graph(torch.from_numpy(windows)))


def golden_windows(windows: Floats, spread: Floats, fill_limit: float) -> Floats:
    """Cases that cover the graph: normal windows, a shifted one, cells missing, a whole sensor missing.

    windows: normal ones (window, row, sensor); spread: (sensor,) a typical deviation, engineering units.
    """
    cases = windows[np.linspace(0, len(windows) - 1, min(GOLDEN_WINDOWS, len(windows))).astype(int)].copy()
    shifted, holes, blind = cases[0].copy(), cases[0].copy(), cases[0].copy()
    shifted[-1] += 3 * spread
    random = np.random.default_rng(0)
    holes[random.random(holes.shape) < fill_limit] = np.nan
    blind[:, 0] = np.nan
    return np.concatenate([cases, [shifted, holes, blind]])


def golden_file(graph: Graph, windows: Floats) -> bytes:
    """`golden.json`: what torch gives for these windows."""
    score, error, _, _, *parts = run_torch(graph, windows)
    cells = windows.astype(object)
    cells[np.isnan(windows)] = None
    golden = Golden(
        windows=cells.tolist(),
        score=tuple(score.tolist()),
        sensor_error=tuple(map(tuple, error.tolist())),
        parts=tuple(map(tuple, parts[0].tolist())) if parts else (),
    )
    return golden.model_dump_json().encode()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of its own internals (torchvision, deprecations); a failure still raises."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
