"""What the graph does to values before and after the network."""

import numpy as np
import pytest
import torch

from schemas.training import SensorSettings, Training
from trainer.graph.preprocess import CLIP, Preprocess, fit_scaling

CELLS = np.random.default_rng(0).gamma(2.0, 3.0, size=(4000, 3)).astype(np.float32)


def made(scaling: str, *, log: bool = False, imputation: str = "mean") -> Preprocess:
    """Preprocessing of three sensors, fitted on CELLS with some cells missing."""
    cells = CELLS.copy()
    cells[::7, 1] = np.nan
    training = Training.model_validate({"scaling": scaling, "imputation": imputation})
    return Preprocess(fit_scaling(cells[None], training, [SensorSettings(log1p=log)] * 3))


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
    scaling = fit_scaling(cells[None], Training(), [SensorSettings()] * 3)
    assert scaling.constant.tolist() == [True, True, False]
    assert scaling.scale[:2].tolist() == [1.0, 1.0]


def test_a_fold_that_never_saw_a_sensor_takes_the_whole_scaling() -> None:
    """A sensor that appears late in the history does not stop the folds before it."""
    cells = CELLS.copy()
    whole = fit_scaling(cells[None], Training(), [SensorSettings()] * 3)
    cells[:, 2] = np.nan
    part = fit_scaling(cells[None], Training(), [SensorSettings()] * 3, whole)
    assert part.fill[2] == pytest.approx(whole.fill[2])
    assert part.scale[2] == 1.0


def correlated(rows: int = 600) -> np.ndarray:
    """Windows of ten rows of three sensors that follow one wandering load."""
    rng = np.random.default_rng(5)
    load = np.cumsum(rng.normal(size=rows))
    values = np.array([50.0, 8.0, 120.0]) + load[:, None] * [2.0, -1.5, 4.0] + rng.normal(size=(rows, 3)) * 0.1
    return values.reshape(-1, 10, 3).astype(np.float32)


def test_neighbours_fill_a_hole_from_what_is_there() -> None:
    """A missing cell is guessed from the sensors that are there, far better than by its mean; what is there stays."""
    windows = correlated()
    training = Training(imputation="knn")
    step = Preprocess(fit_scaling(windows, training, [SensorSettings()] * 3))
    holes = windows.copy()
    holes[:, ::2, 2] = np.nan
    whole, _ = step(torch.from_numpy(windows))
    filled, present = step(torch.from_numpy(holes))
    torch.testing.assert_close(filled[present], whole[present])
    wrong = (filled - whole)[~present]
    assert float(wrong.square().mean().sqrt()) < 0.2 * float(whole[~present].square().mean().sqrt())
    blind, _ = step(torch.full((1, 2, 3), torch.nan))
    torch.testing.assert_close(blind[0, 0], step.hidden(), msg="of nothing nothing follows: the mean")


def test_neighbours_do_not_jump() -> None:
    """As a value moves past the point where two neighbours change places, the guess moves no faster than it."""
    step = Preprocess(fit_scaling(correlated(), Training(imputation="knn"), [SensorSettings()] * 3))
    given = torch.full((2001, 1, 3), torch.nan)
    given[:, 0, 0] = torch.linspace(30, 70, 2001)
    scaled, _ = step(given)
    assert float(scaled[:, 0, 2].diff().abs().max()) < 20 * float(scaled[:, 0, 0].diff().abs().max())


@pytest.mark.parametrize("log", [False, True])
def test_changes_are_scaled_and_restored(log: bool) -> None:
    """Under `difference` the network sees changes; with the window beside them they are levels again."""
    windows = np.abs(correlated())
    settings = [SensorSettings(difference=True, log1p=log), SensorSettings(), SensorSettings(difference=True)]
    step = Preprocess(fit_scaling(windows, Training(), settings))
    scaled, present = step(torch.from_numpy(windows))
    assert present[:, 1:].all()
    assert present[:, 0].any(dim=0).tolist() == [False, True, False], "a window's first row has no row before it"
    assert float(scaled[:, 1:, 2].std()) == pytest.approx(1.0, abs=0.01)
    back = step.restore(scaled, torch.from_numpy(windows))
    torch.testing.assert_close(back[:, 1:], torch.from_numpy(windows[:, 1:]), rtol=1e-4, atol=1e-3)
    alone = step.restore(scaled)[:, 1:].diff(dim=1)[..., 2]
    torch.testing.assert_close(alone, torch.from_numpy(windows[:, 1:]).diff(dim=1)[..., 2], rtol=1e-3, atol=1e-2)


def test_a_change_beside_a_hole_is_missing() -> None:
    """A change needs both of its rows: a hole takes two of them, and no jump from the fill appears."""
    step = Preprocess(fit_scaling(correlated(), Training(), [SensorSettings(difference=True)] * 3))
    window = correlated()[:1]
    window[0, 4, 1] = np.nan
    scaled, present = step(torch.from_numpy(window))
    assert (~present[0, :, 1]).nonzero().flatten().tolist() == [0, 4, 5]
    torch.testing.assert_close(scaled[0, 4:6, 1], step.hidden()[1].expand(2))


def test_only_what_lies_beyond_the_deadband_counts() -> None:
    """Direction and deadband: the other side and what lies within the deadband count as nothing."""
    settings = [SensorSettings(direction="high"), SensorSettings(direction="low"), SensorSettings(deadband=2.0)]
    scaling = fit_scaling(correlated(), Training(), settings)
    step = Preprocess(scaling)
    bit = 2.0 / float(scaling.scale[2])
    residual = torch.tensor([[1.0, 1.0, 0.9 * bit], [-1.0, -1.0, -1.5 * bit]])
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, -0.5 * bit]])
    torch.testing.assert_close(step.apply_deadband(residual), expected, rtol=1e-5, atol=1e-6)
