"""What an exported graph carries, and what it does not."""

from pathlib import Path

import onnx
import torch
from torch import nn

import trainer
from trainer.graph.export import open_session, to_onnx


def _exported() -> bytes:
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))
    return to_onnx(network, torch.zeros(2, 3, 2), "window", ("score",))


def test_a_graph_carries_no_path_and_no_stack_of_the_machine_that_trained_it() -> None:
    """A bundle travels: where it was trained is nobody's business, and the stacks are more than half of its bytes."""
    exported = _exported()
    model = onnx.load_from_string(exported)
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    for place in (Path(torch.__file__).parent, Path(trainer.__file__).parent, Path.cwd()):
        assert str(place).encode() not in exported
    assert b"stack_trace" not in exported


def test_a_graph_without_annotations_still_runs() -> None:
    """Only what stands beside the operators goes."""
    windows = torch.randn(5, 3, 2).numpy()
    (scores,) = open_session(_exported()).run(["score"], {"window": windows})
    assert scores.shape == (5, 1)
