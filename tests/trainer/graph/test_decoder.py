"""The decoder's own file gives back what the graph rebuilds."""

import numpy as np
import pytest
import torch

from schemas.training import SensorSettings
from tests.support.made_history import SENSORS, made_values, quick_training
from trainer.graph.decoder import export_decoder
from trainer.graph.export import open_session, run_torch
from trainer.graph.graph import Graph
from trainer.graph.preprocess import Preprocess, fit_scaling
from trainer.networks import build
from trainer.networks.config import network_config

WINDOW = 6


@pytest.mark.parametrize("changes", [{"family": "lstm"}, {"loss": "bce", "scaling": "minmax"}], ids=str)
def test_decoding_the_code_gives_the_reconstruction(changes: dict[str, str]) -> None:
    """Encoded by the bundle's graph and decoded by its decoder, windows are what the graph rebuilds, in their units."""
    training = quick_training(window=WINDOW, **changes)
    windows = made_values(20 * WINDOW, 3).reshape(20, WINDOW, len(SENSORS))
    settings = [SensorSettings(log1p=name == "power") for name in SENSORS]
    network, _ = build(network_config(training, len(SENSORS)))
    graph = Graph(Preprocess(fit_scaling(windows, training, settings)), network, torch.ones(4), "window", training.loss)
    _, _, rebuilt, codes = run_torch(graph, windows)
    (decoded,) = open_session(export_decoder(graph, codes)).run(["window"], {"code": codes})
    np.testing.assert_allclose(decoded, rebuilt, rtol=1e-4, atol=1e-4)
