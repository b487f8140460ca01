"""One fit: early stopping, the best weights, seeds, losses."""

import pytest
import torch

from schemas.config import Training
from trainer.fit import Scaled, fit, loss_over
from trainer.fitted import Curve


def data(rows: int, seed: int) -> Scaled:
    """Windows of three sensors that follow one signal, (window, 4, 3)."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(rows, 4, 1, generator=generator)
    values = signal.repeat(1, 1, 3) + 0.1 * torch.randn(rows, 4, 3, generator=generator)
    return Scaled(values, values, torch.ones_like(values, dtype=torch.bool))


def run(validation: Scaled | None = None, **changes: object) -> tuple[torch.nn.Module, Curve, list[int]]:
    """A quick fit, and the epochs it told."""
    told: list[int] = []
    training = Training.model_validate({"window": 4, "hidden": (16,), "epochs": 12, "latent": 4, **changes})
    judged = validation or data(100, 1)
    network, curve = fit("model", data(400, 0), judged, torch.zeros(3), training, lambda e, *_: told.append(e))
    return network, curve, told


@pytest.mark.parametrize("family", ["dense", "conv"])
def test_a_fit_learns(family: str) -> None:
    """The validation loss falls well below what knowing nothing gives, and every epoch is told."""
    _, curve, told = run(family=family, epochs=40, learning_rate=5e-3)
    assert curve.validation[curve.best_epoch] < 0.5
    assert told == list(range(len(curve.train)))


def test_best_weights_are_restored() -> None:
    """The network has the weights of the best epoch, not of the last."""
    judged = data(100, 1)
    network, curve, _ = run(judged, learning_rate=0.2, epochs=30, patience=30)
    assert curve.best_epoch < len(curve.validation) - 1
    training = Training(window=4)
    assert loss_over(network, judged, training) == pytest.approx(min(curve.validation), rel=1e-4)


def test_patience_ends_the_fit() -> None:
    """Without a better epoch the fit ends after `patience` more."""
    noise = torch.randn(100, 4, 3)
    _, curve, _ = run(Scaled(noise, noise, torch.ones(100, 4, 3, dtype=torch.bool)), epochs=500, patience=3)
    assert len(curve.train) < 200
    assert len(curve.train) == curve.best_epoch + 4


def test_seed_decides() -> None:
    """One seed gives one curve, another seed another."""
    assert run(epochs=3)[1] == run(epochs=3)[1]
    assert run(epochs=3)[1] != run(epochs=3, seed=1)[1]


def test_options_take_effect() -> None:
    """Loss, L2 and dropout change what is learnt."""
    plain = run(epochs=3)[1]
    for change in ({"loss": "mae"}, {"l2": 0.1}, {"dropout": 0.5}):
        assert run(epochs=3, **change)[1] != plain


def test_missing_cells_do_not_count() -> None:
    """What stands in a missing cell changes no loss."""
    network, _, _ = run(epochs=2)
    judged = data(50, 2)
    judged.present[:, :, 1] = False
    spoiled = judged.values.clone()
    spoiled[:, :, 1] = 99.0
    training = Training(window=4)
    assert loss_over(network, judged, training) == pytest.approx(
        loss_over(network, Scaled(spoiled, judged.shown, judged.present), training)
    )


def test_an_interrupt_passes() -> None:
    """Ctrl-C ends a fit at once; nothing swallows it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit("model", data(100, 0), data(50, 1), torch.zeros(3), Training(window=4), interrupt)
