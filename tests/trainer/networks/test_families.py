"""What makes each family itself. What all of them promise is in test_fit and test_recipe."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.functional import gaussian_nll_loss

from detector.config import load_settings
from detector.errors import ConfigError
from schemas.families import FamilyName
from schemas.training import Training
from tests.support.made_windows import made_windows
from trainer.fitting.fit import fit
from trainer.networks import FAMILIES, build
from trainer.networks.config import network_config
from trainer.networks.interface import MIN_SD, Batch
from trainer.networks.losses import loss_function
from trainer.networks.variational import VariationalAutoencoder
from trainer.networks.winner import WinnerAutoencoder


def fitted(family: str, **changes: object) -> nn.Module:
    """A small network of a family, ready for use."""
    base = {"family": family, "window": 4, "hidden": (16,), "latent": 4, "epochs": 25, "learning_rate": 5e-3}
    training = Training.model_validate({**base, **changes})
    return fit("model", made_windows(400, 0), made_windows(100, 1), training)[0]


def rebuilt(network: nn.Module, windows: torch.Tensor) -> torch.Tensor:
    """What the network makes of windows."""
    return network.decode(network.encode(windows))  # type: ignore[operator,no-any-return]


def test_the_registry_holds_what_the_configuration_takes() -> None:
    """A family is in the registry if and only if it can be configured."""
    assert set(FAMILIES) == set(get_args(FamilyName))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [1, 5])
def test_any_stack_of_layers(family: str, window: int) -> None:
    """Encoder and decoder take stacks of their own, windows may be single rows, and a window is rebuilt alone."""
    stacks = {"hidden": (16, 8)} | ({} if family == "linear" else {"decoder": (8, 12, 16), "dropout": 0.1})
    training = Training.model_validate({"family": family, "window": window, "latent": 3, **stacks})
    network, objective = build(network_config(training, 6))
    windows = torch.randn(9, window, 6, generator=torch.Generator().manual_seed(0))
    batch = Batch(windows, windows, torch.ones_like(windows, dtype=torch.bool), torch.zeros(6))
    assert objective(network, batch, loss_function("mse")).isfinite()
    network.eval()
    assert network.encode(windows).shape == (9, 3)  # type: ignore[operator]
    assert rebuilt(network, windows).shape == windows.shape
    torch.testing.assert_close(rebuilt(network, windows)[4:5], rebuilt(network, windows[4:5]))


def test_linear_is_principal_component_analysis() -> None:
    """The linear family rebuilds windows as scikit-learn's PCA does, and its code spans the same axes."""
    windows = made_windows(400, 0).values
    cells = windows.flatten(1).numpy()
    pca = PCA(n_components=4, svd_solver="full").fit(cells)
    network = fitted("linear")
    found = rebuilt(network, windows).detach().flatten(1).numpy()
    np.testing.assert_allclose(found, pca.inverse_transform(pca.transform(cells)), atol=2e-4)
    axes = network.encoder.weight.detach().numpy()  # type: ignore[union-attr,operator]
    np.testing.assert_allclose(np.abs(axes @ pca.components_.T), np.eye(4), atol=2e-3)


def test_linear_takes_a_code_wider_than_its_windows() -> None:
    """With as many components as cells everything is rebuilt; more do no harm."""
    windows = made_windows(50, 0).values
    torch.testing.assert_close(rebuilt(fitted("linear", latent=20), windows), windows, atol=1e-4, rtol=1e-4)


def test_sparse_units_speak_seldom() -> None:
    """The divergence brings mean activations near rho; the L1 penalty makes them smaller; both cost reconstruction."""
    windows = made_windows(200, 2).values

    def on(**options: float) -> float:
        network = fitted("sparse", latent=12, sparse=options, epochs=60)
        return float(network.encode(windows).detach().mean())  # type: ignore[operator]

    free = on(beta=0.0)
    assert free > 0.3
    assert on(rho=0.1, beta=3.0) == pytest.approx(0.1, abs=0.05)
    assert on(beta=0.0, l1=0.3) < 0.7 * free


@pytest.mark.parametrize("options", [{"sd": 1.0}, {"sd": 0.0, "masking": 0.6}])
def test_denoising_reconstructs_noisy_windows_better(options: dict[str, float]) -> None:
    """From windows with noise, or without some cells, it comes nearer to the clean ones than a plain network."""
    clean = made_windows(300, 2).values
    generator = torch.Generator().manual_seed(3)
    hidden = torch.rand(clean.shape, generator=generator) < options.get("masking", 0.0)
    noisy = torch.where(hidden, 0.0, clean + options["sd"] * torch.randn(clean.shape, generator=generator))

    def error(family: str, **changes: object) -> float:
        return float((rebuilt(fitted(family, epochs=60, **changes), noisy) - clean).detach().square().mean())

    assert error("denoising", denoising=options) < 0.95 * error("dense")


def test_contractive_moves_less_than_its_windows() -> None:
    """The reconstruction's Jacobian is smaller than a plain network's."""
    windows = made_windows(30, 2).values

    def slope(family: str, **changes: object) -> float:
        network = fitted(family, epochs=60, **changes)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda window: rebuilt(network, window[None])[0]))(windows)
        return float(jacobian.detach().square().mean())

    assert slope("contractive", contractive={"weight": 1.0}) < 0.7 * slope("dense")


def test_adversarial_codes_look_like_the_prior() -> None:
    """With a heavy critic the codes' standard deviations come near 1; the critic is not part of the network."""
    windows = made_windows(400, 2).values

    def far(**options: float) -> float:
        network = fitted("adversarial", latent=2, epochs=80, patience=80, adversarial=options)
        assert not any("critic" in name for name, _ in network.named_parameters())
        return float((network.encode(windows).detach().std(dim=0) - 1).abs().mean())  # type: ignore[operator]

    assert far(weight=1.0) < min(0.5, 0.7 * far(weight=0.0))


def test_winners_are_few() -> None:
    """In use, where no minibatch decides, a unit is active in about the share of windows it won in training."""
    network = fitted("winner_take_all", latent=16, winner_take_all={"share": 0.25}, epochs=60)
    assert isinstance(network, WinnerAutoencoder)
    active = (network.encode(made_windows(400, 2).values) > 0).float().mean()
    assert 0.1 < float(active) < 0.35


def test_the_prediction_is_the_reconstruction_probability() -> None:
    """Squared weighted residual plus uncertainty is the mean log density over the draws, times -2, up to a constant."""
    network = fitted("variational", variational={"samples": 6})
    assert isinstance(network, VariationalAutoencoder)
    windows = made_windows(20, 2).values
    prediction = network.predict(windows)
    assert prediction.weight is not None
    assert prediction.uncertainty is not None
    mean, log_sd = network.posterior(windows)
    densities = []
    for noise in network.noise:
        centre, width = network.cells(mean + log_sd.exp() * noise)
        densities.append(gaussian_nll_loss(centre, windows, (2 * width).exp(), reduction="none"))
    surest = math.log(MIN_SD)
    found = ((windows - prediction.reconstruction) * prediction.weight / MIN_SD).square() + prediction.uncertainty
    torch.testing.assert_close(found, 2 * (torch.stack(densities).mean(dim=0) - surest), atol=1e-3, rtol=1e-3)
    assert (prediction.uncertainty >= -1e-5).all()
    assert (prediction.weight <= 1 + 1e-5).all()


def test_variational_knows_which_sensor_is_noisy() -> None:
    """A cell's standard deviation follows its sensor's noise, so the noisy sensor weighs less."""
    data = made_windows(800, 0)
    generator = torch.Generator().manual_seed(1)
    noisy = data.values.clone()
    noisy[..., 1] += torch.randn(noisy.shape[:2], generator=generator)
    shaken = replace(data, values=noisy, shown=noisy)
    training = Training(family="variational", window=4, latent=2, epochs=60, learning_rate=5e-3)
    network, _ = fit("model", shaken, shaken, training)
    assert isinstance(network, VariationalAutoencoder)
    weight = network.predict(noisy).weight
    assert weight is not None
    assert weight[..., 1].mean() < 0.5 * weight[..., 0].mean()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"family": "dense", "sparse": {}}, "the section sparse is for family: sparse, and family is dense"),
        ({"loss": "bce"}, "set scaling: minmax"),
        ({"loss": "bce", "scaling": "minmax", "sensors": {"a": {"scaling": "robust"}}}, "set scaling: minmax"),
        ({"family": "variational", "loss": "mae"}, "takes loss: mse alone"),
        ({"family": "linear", "loss": "huber"}, "takes loss: mse alone"),
        ({"family": "linear", "dropout": 0.1}, "solved, not trained"),
        ({"family": "transformer", "hidden": [30]}, "must divide the first of hidden"),
        ({"family": "variational", "variational": {"samples": 3}}, "multiple of 2"),
        ({"family": "dnese"}, "'transformer'"),
    ],
)
def test_what_does_not_go_together_is_refused(document: dict[str, object], message: str, tmp_path: Path) -> None:
    """A combination that would be passed over in silence is one line that says what to change."""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"training": {"pumps": document}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(path, {})
    assert "\n" not in str(caught.value)
