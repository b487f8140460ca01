"""Sensors that tell a state: one-hot inside the network, one column everywhere else."""

from functools import cache

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from detector.bundles.loading import OnnxScorer
from detector.core.scoring import ScoreSmoother
from schemas.training import SensorSettings
from tests.support.made_history import START, quick_training
from trainer.bundle.result import Fitted
from trainer.data.history import AssetHistory, History
from trainer.graph.export import open_session
from trainer.networks.categorical import OneHotColumns
from trainer.recipe import train

MODES = (0.0, 2.0, 5.0)
LEVELS = dict(zip(MODES, (0.0, 10.0, 30.0), strict=True))


def made(rows: int, seed: int) -> np.ndarray:
    """Flow and power follow the mode of the pump, which lasts some ten rows."""
    rng = np.random.default_rng(seed)
    mode = np.repeat(rng.choice(MODES, rows // 5), 10)[:rows]
    level = np.array([LEVELS[one] for one in mode.tolist()])
    flow, power = level + rng.normal(size=rows), 2 * level + 5 + rng.normal(size=rows)
    return np.stack([flow, mode, power], axis=1).astype(np.float32)


@cache
def fitted() -> Fitted:
    sensors = {"flow": {}, "mode": {"categories": MODES}, "power": {}}
    history = History(
        ("flow", "mode", "power"), (AssetHistory("p", START + np.arange(700.0), made(700, 1)),), "synthetic"
    )
    training = quick_training(
        window=2, folds=2, latent=2, sensors=sensors, learning_rate=1e-2, score="mahalanobis", epochs=80, patience=20
    )
    return train(history, "pumps", training, decoder=True)


def windows(values: np.ndarray) -> np.ndarray:
    return np.stack([values[i : i + 2] for i in range(len(values) - 1)])


def scores(values: np.ndarray) -> np.ndarray:
    scorer, scoring = OnnxScorer(fitted().manifest, fitted().graph), fitted().manifest.scoring
    given = windows(values)
    reset_before = np.arange(len(given)) == 0
    return ScoreSmoother(scoring, 3).advance(np.zeros(len(given), np.int64), scorer.sensor_error(given), reset_before)[
        0
    ]


def test_a_state_that_does_not_fit_is_an_anomaly() -> None:
    """A category that contradicts the other sensors, and an unknown one, lie above the threshold; normal rows do not.

    Nor do rows of which the state is missing now and then.
    """
    values, threshold = made(300, 2), fitted().threshold
    assert (scores(values) > threshold).mean() < 0.02
    running = values.copy()
    running[:, :] = values[values[:, 1] == 5.0][:1]
    scorer = OnnxScorer(fitted().manifest, fitted().graph)
    for odd in (0.0, 7.0):
        faulty = running.copy()
        faulty[150:, 1] = odd
        assert scores(faulty)[-50:].min() > threshold
        assert scorer.sensor_error(windows(faulty))[-1, 1] > 5
    silent = values.copy()
    silent[np.random.default_rng(1).random(300) < 0.1, 1] = np.nan
    assert (scores(silent) > threshold).mean() < 0.1


def test_what_is_rebuilt_is_a_category() -> None:
    """Of normal windows the reconstruction names the mode that was observed, in its own value; so does the decoder."""
    scorer = OnnxScorer(fitted().manifest, fitted().graph)
    given = windows(made(200, 3))
    rebuilt, codes = scorer.reconstruct(given)
    assert set(np.unique(rebuilt[..., 1])) <= set(MODES)
    assert (rebuilt[..., 1] == given[..., 1]).mean() > 0.95
    (decoded,) = open_session(fitted().files["decoder.onnx"]).run(["window"], {"code": codes})
    np.testing.assert_allclose(decoded, rebuilt, rtol=1e-3, atol=1e-3)
    assert fitted().manifest.sensors[1].stuck_rows is None


def test_columns_there_and_back() -> None:
    """Plain sensors pass; numbers become columns and the likeliest column the number; beyond the last: none of them."""
    columns = OneHotColumns((0, 3, 0, 2))
    sensors = torch.tensor([[1.5, 2.0, -4.0, 0.0], [0.5, 3.0, 7.0, 1.0]])
    wide = columns.expand(sensors)
    assert wide.tolist() == [[1.5, -4.0, 0, 0, 1, 0, 1, 0, 0], [0.5, 7.0, 0, 0, 0, 1, 0, 1, 0]]
    torch.testing.assert_close(columns.likeliest(wide)[0], sensors[0])
    assert columns.observed(wide * 0.9, sensors)[0].tolist() == pytest.approx([1.35, 0.9, -3.6, 0.9])


@pytest.mark.parametrize(
    "changes", [{"log1p": True}, {"difference": True}, {"direction": "high"}, {"scaling": "robust"}]
)
def test_a_state_is_not_a_quantity(changes: dict[str, object]) -> None:
    """What only quantities have is refused together with categories."""
    with pytest.raises(ValidationError, match="is not a quantity"):
        SensorSettings.model_validate({"categories": [1, 2], **changes})
