"""What the graph does to values before and after the network."""

import numpy as np
import pytest
import torch

from schemas.config import SensorSettings, Training
from trainer.preprocess import CLIP, Preprocess, fit_scaling

CELLS = np.random.default_rng(0).gamma(2.0, 3.0, size=(4000, 3)).astype(np.float32)


def made(scaling: str, *, log: bool = False, imputation: str = "mean") -> Preprocess:
    """Preprocessing of three sensors, fitted on CELLS with some cells missing."""
    cells = CELLS.copy()
    cells[::7, 1] = np.nan
    training = Training.model_validate({"scaling": scaling, "imputation": imputation})
    return Preprocess(fit_scaling(cells, training, [SensorSettings(log1p=log)] * 3))


@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("log", [False, True])
def test_restore_undoes_scaling(scaling: str, log: bool) -> None:
    """Scaled and restored, values inside the clip are what they were."""
    step = made(scaling, log=log)
    window = torch.from_numpy(CELLS[:60].reshape(6, 10, 3))
    scaled, present = step(window)
    assert present.all()
    torch.testing.assert_close(step.restore(scaled), window, rtol=1e-4, atol=1e-4)


def test_scalings_are_what_they_say() -> None:
    """Standard: mean 0 and spread 1. Min-max: 0 to 1. Robust: median 0."""
    window = torch.from_numpy(CELLS[None])
    standard, _ = made("standard")(window)
    assert float(standard[0, :, 0].mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(standard[0, :, 0].std()) == pytest.approx(1.0, abs=1e-2)
    minmax, _ = made("minmax")(window)
    assert (float(minmax[0, :, 0].min()), float(minmax[0, :, 0].max())) == (0.0, 1.0)
    robust, _ = made("robust")(window)
    assert float(robust[0, :, 0].median()) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("imputation", ["mean", "median"])
def test_missing_cells_take_the_fill(imputation: str) -> None:
    """A missing cell becomes the sensor's mean or median of its present cells, and is known to be missing."""
    step = made("standard", imputation=imputation)
    scaled, present = step(torch.full((1, 2, 3), torch.nan))
    assert not present.any()
    expected = getattr(np, imputation)(np.delete(CELLS[:, 1], np.arange(0, len(CELLS), 7)))
    assert float(step.restore(scaled)[0, 0, 1]) == pytest.approx(expected, rel=1e-3)
    torch.testing.assert_close(step.hidden(), scaled[0, 0])


def test_wild_values_are_clipped_and_not_shown() -> None:
    """A wild value ends at the clip; the network is shown no more than training held."""
    step = made("standard")
    scaled, _ = step(torch.full((1, 1, 3), 3e38))
    assert (scaled == CLIP).all()
    assert (step.shown(scaled) < CLIP).all()


def test_constant_sensor_has_scale_one() -> None:
    """No spread, also not one of float32's rounding, divides nothing."""
    cells = CELLS.copy()
    cells[:, 0] = 101_325.0
    cells[::2, 1] = np.float32(1.0)
    cells[1::2, 1] = np.nextafter(np.float32(1.0), np.float32(2.0))
    scaling = fit_scaling(cells, Training(), [SensorSettings()] * 3)
    assert scaling.constant.tolist() == [True, True, False]
    assert scaling.scale[:2].tolist() == [1.0, 1.0]


def test_a_fold_that_never_saw_a_sensor_takes_the_whole_scaling() -> None:
    """A sensor that appears late in the history does not stop the folds before it."""
    cells = CELLS.copy()
    whole = fit_scaling(cells, Training(), [SensorSettings()] * 3)
    cells[:, 2] = np.nan
    part = fit_scaling(cells, Training(), [SensorSettings()] * 3, whole)
    assert part.fill[2] == pytest.approx(whole.fill[2])
    assert part.scale[2] == 1.0
