"""Distances from the nearest points: of windows, and of codes, whose size says nothing."""

import numpy as np
import onnx
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from detector.bundles.loading import OnnxScorer
from schemas.manifest import ComponentName
from schemas.training import ComponentSettings, Training
from tests.support.made_history import (
    LEVELS,
    LOADINGS,
    NOISE,
    SENSORS,
    START,
    made_history,
    made_values,
    quick_training,
)
from tests.trainer.test_recipe import final_scores, windows_of
from trainer.data.history import AssetHistory, History
from trainer.graph.components import LATENT, ScoreComponents
from trainer.graph.distance import MAX_CODES, NEIGHBOURS, Nearest, code_centres, code_neighbours
from trainer.graph.preprocess import Preprocess, fit_scaling
from trainer.networks import FAMILIES
from trainer.recipe import train
from trainer.replay.prepare import prepare
from trainer.scoring.selection import candidates

BOTH = (ComponentSettings(name="latent_neighbours"), ComponentSettings(name="latent_centres"))


def made_codes(rows: int, seed: int) -> Tensor:
    """Codes of three dimensions of different sizes, far from 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=generator) * torch.tensor([1.0, 4.0, 15.0]) + torch.tensor([5.0, 0.0, -900.0])


def standard(codes: Tensor, by: Tensor) -> Tensor:
    """In units of the spread of `by`."""
    return (codes - by.mean(dim=0)) / by.std(dim=0, correction=0)


def test_nearest_is_the_root_mean_square_to_the_nearest_point() -> None:
    """Point by point in numpy it is the same; of a point itself it is exactly 0, and with few points it is over all."""
    points, cells = torch.randn(20, 6), torch.randn(50, 6)
    apart = np.sqrt(((cells[:, None] - points[None]).numpy() ** 2).mean(axis=2))
    torch.testing.assert_close(Nearest(points)(cells)[:, 0].numpy(), apart.min(axis=1), rtol=1e-5, atol=1e-6)
    assert float(Nearest(points * 1000)(points * 1000).max()) == 0.0
    few = Nearest(points[:2], NEIGHBOURS)(cells)[:, 0].numpy()
    np.testing.assert_allclose(few, apart[:, :2].mean(axis=1), rtol=1e-5)


def test_neighbours_are_those_of_the_standardised_codes() -> None:
    """The distance is the mean over the k nearest kept codes, as scikit-learn finds them; not too many are kept."""
    codes, fresh = made_codes(3000, 0), made_codes(40, 1)
    found = code_neighbours(codes)
    kept = found.nearest.points.numpy()
    assert len(kept) == MAX_CODES
    reference = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(kept)
    want = reference.kneighbors(standard(fresh, codes).numpy())[0].mean(axis=1) / np.sqrt(3)
    np.testing.assert_allclose(found(fresh)[:, 0].numpy(), want, rtol=1e-3)


def test_centres_are_those_of_the_standardised_codes() -> None:
    """The distance is to the nearest of scikit-learn's centres."""
    codes, fresh = made_codes(3000, 0), made_codes(40, 1)
    reference = KMeans(20, n_init=1, max_iter=50, random_state=7).fit(standard(codes, codes).numpy())
    want = reference.transform(standard(fresh, codes).numpy()).min(axis=1) / np.sqrt(3)
    np.testing.assert_allclose(code_centres(codes, 7)(fresh)[:, 0].numpy(), want, rtol=1e-3)


def test_how_large_a_network_makes_its_codes_does_not_count() -> None:
    """Two networks whose codes differ in scale and origin give the same distances: folds can be held together."""
    codes, fresh = made_codes(1000, 0), made_codes(40, 1)
    scale, origin = torch.tensor([20.0, -2.0, 1.5]), torch.tensor([-7.0, 3.0, 40.0])
    for here, there in (
        (code_neighbours(codes), code_neighbours(codes * scale + origin)),
        (code_centres(codes, 0), code_centres(codes * scale + origin, 0)),
    ):
        torch.testing.assert_close(here(fresh), there(fresh * scale + origin), rtol=1e-2, atol=1e-3)


def test_a_silent_unit_does_not_drown_the_others() -> None:
    """A dimension that hardly moved counts by the floor and not by its own noise; codes all the same do no harm."""
    codes = made_codes(500, 0)
    codes[:, 0] = 1e-6 * torch.randn(500)
    quiet, loud = codes[:20].clone(), codes[:20].clone()
    quiet[:, 0] += 1e-3
    loud[:, 2] += 150.0
    for found in (code_neighbours(codes), code_centres(codes, 0)):
        assert float((found(quiet) - found(codes[:20])).abs().max()) < 0.01
        assert float((found(loud) - found(codes[:20])).min()) > 2.0
    same = torch.full((200, 3), 4.0)
    for found in (code_neighbours(same), code_centres(same, 0), code_neighbours(same[:2])):
        assert float(found(same[:5]).abs().max()) < 1e-5
        assert float(found(same[:5] + 1).min()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_scored_in_its_latent_space(family: str) -> None:
    """Fitted out of fold, exported in parity, finite on holes, and quiet on fresh normal rows.

    Training itself holds onnxruntime to torch.
    """
    small = {"family": family, "window": 4, "folds": 2, "epochs": 4, "hidden": (16,), "learning_rate": 5e-3}
    fitted = train(made_history(500), "pumps", quick_training(**small, score="sum", components=BOTH))
    found = [(part.name, part.width, part.center) for part in fitted.manifest.scoring.components]
    assert found == [("latent_neighbours", 1, ()), ("latent_centres", 1, ())]
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    windows = windows_of(made_values(400, 77), 4)
    distances = scorer.parts(windows)
    assert distances.shape == (len(windows), 2)
    assert (distances >= 0).all()
    # The final network's distances are of the size of the folds' networks', though none of their codes are alike.
    usual = np.quantile(distances, 0.95, axis=0) / [part.scale for part in fitted.manifest.scoring.components]
    assert ((usual > 0.2) & (usual < 5.0)).all()
    kept = {tuple(tensor.dims) for tensor in onnx.load_from_string(fitted.graph).graph.initializer}
    assert {(MAX_CODES, fitted.manifest.latent), (20, fitted.manifest.latent)} <= kept
    windows[::3, :, 1] = np.nan
    assert np.isfinite(scorer.parts(windows)).all()
    assert (final_scores(fitted, made_values(2000, 78)) > fitted.threshold).mean() < 0.03


def test_a_code_between_two_ways_of_running_is_strange() -> None:
    """Half way between two modes every sensor is within its range and rebuilt well; in latent space nothing is near."""
    rng = np.random.default_rng(0)

    def rows(load: np.ndarray, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=(len(load), 4)) * NOISE
        return np.asarray(LEVELS + load[:, None] * LOADINGS + noise, np.float32)

    modes = np.where(np.arange(1200) // 50 % 2, 3.0, -3.0) + 0.2 * rng.normal(size=1200)
    history = History(SENSORS, (AssetHistory("pump-0", START + np.arange(1200.0), rows(modes, 1)),), "synthetic")
    between = rows(0.2 * rng.normal(size=300), 2)
    for part in BOTH:
        training = quick_training(family="linear", window=1, score="sum", components=(part,))
        fitted = train(history, "pumps", training)
        assert (final_scores(fitted, rows(modes, 3)) > fitted.threshold).mean() < 0.02
        assert final_scores(fitted, between)[20:].min() > fitted.threshold
    blind = train(
        history, "pumps", quick_training(family="linear", window=1, score="sum", components=({"name": "residual"},))
    )
    assert np.median(final_scores(blind, between)) < blind.threshold


def test_only_the_chosen_parts_are_kept_for_the_graph() -> None:
    """What no chosen part needs is left behind: onnxruntime would run it."""
    codes = made_codes(400, 0)
    nearest: dict[ComponentName, nn.Module] = {
        "distance": Nearest(codes),
        "latent_neighbours": code_neighbours(codes),
        "latent_centres": code_centres(codes, 0),
    }
    history = prepare(made_history(400, 1), Training(window=1))
    windows = history.replay.windows(np.arange(len(history.replay)))
    preprocess = Preprocess(fit_scaling(windows, history.training, history.settings))
    components = ScoreComponents(
        ("values", "distance", "latent_neighbours", "latent_centres"), preprocess, None, nearest
    )
    assert {*components.nearest} == {*nearest}
    assert {*components.only(("latent_neighbours", "values", "latent_neighbours")).nearest} == {"latent_neighbours"}
    assert {*components.only(("latent_centres", "distance")).nearest} == {"latent_centres", "distance"}
    assert not components.only(("values",)).nearest


def test_auto_does_not_try_them() -> None:
    """They are chosen by hand alone."""
    assert not any(LATENT & {*candidate.names} for candidate in candidates(Training()))
