"""One fit: early stopping, the best weights, seeds, losses."""

from typing import Any

import pytest
import torch

from schemas.training import Training
from tests.support.made_windows import made_windows
from trainer.fitting.fit import Curve, Scaled, fit, loss_over, ordinary
from trainer.networks import FAMILIES
from trainer.networks.config import WIDE
from trainer.parallel.progress import EpochEnded, FitEvent


def run(validation: Scaled | None = None, **changes: object) -> tuple[torch.nn.Module, Curve, list[int]]:
    """A quick fit, and the epochs of its progress."""
    epochs: list[int] = []
    training = Training.model_validate({"window": 4, "hidden": (16,), "epochs": 12, "latent": 4, **changes})
    judged = validation or made_windows(100, 1)

    def note(event: FitEvent) -> None:
        epochs.extend([event.epoch] if isinstance(event, EpochEnded) else [])

    network, curve = fit("model", made_windows(400, 0), judged, training, note)
    return network, curve, epochs


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_learns(family: str) -> None:
    """The validation loss falls well below what knowing nothing gives, and every epoch is reported."""
    _, curve, epochs = run(family=family, latent=16 if family in WIDE else 4, epochs=40, learning_rate=5e-3)
    assert curve.validation[curve.best_epoch] < 0.5
    assert epochs == list(range(len(curve.train)))


def test_best_weights_are_restored() -> None:
    """The network has the weights of the best epoch, not of the last."""
    judged = made_windows(100, 1)
    network, curve, _ = run(judged, learning_rate=0.2, epochs=30, patience=30)
    assert curve.best_epoch < len(curve.validation) - 1
    training = Training(window=4)
    assert loss_over(network, judged, training) == pytest.approx(min(curve.validation), rel=1e-4)


def test_patience_ends_the_fit() -> None:
    """Without a better epoch the fit ends after `patience` more."""
    noise = torch.randn(100, 4, 3)
    _, curve, _ = run(
        Scaled(noise, noise, torch.ones(100, 4, 3, dtype=torch.bool), torch.zeros(3)), epochs=500, patience=3
    )
    assert len(curve.train) < 200
    assert len(curve.train) == curve.best_epoch + 4


def test_seed_decides() -> None:
    """One seed gives one curve, another seed another."""
    assert run(epochs=3)[1] == run(epochs=3)[1]
    assert run(epochs=3)[1] != run(epochs=3, seed=1)[1]


def test_options_take_effect() -> None:
    """Loss, L1, L2, dropout and a decoder of another shape change what is learnt."""
    plain = run(epochs=3)[1]
    changes: list[dict[str, Any]] = [{"loss": "mae"}, {"loss": "huber"}, {"l1": 0.01}, {"l2": 0.1}]
    changes += [{"dropout": 0.5}, {"decoder": (8, 8)}]
    for change in changes:
        assert run(epochs=3, **change)[1] != plain


def test_missing_cells_do_not_count() -> None:
    """What stands in a missing cell changes no loss."""
    network, _, _ = run(epochs=2)
    whole = made_windows(50, 2)
    present = whole.present.clone()
    present[:, :, 1] = False
    judged = Scaled(whole.values, whole.shown, present, whole.fill)
    faulty = judged.values.clone()
    faulty[:, :, 1] = 99.0
    training = Training(window=4)
    assert loss_over(network, judged, training) == pytest.approx(
        loss_over(network, Scaled(faulty, judged.shown, judged.present, judged.fill), training)
    )


def test_an_interrupt_passes() -> None:
    """Ctrl-C ends a fit at once; nothing swallows it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit("model", made_windows(100, 0), made_windows(50, 1), Training(window=4), interrupt)


def test_l1_makes_weights_vanish() -> None:
    """An L1 penalty leaves fewer weights that matter than none does."""

    def small(**changes: Any) -> float:
        network, _, _ = run(epochs=30, **changes)
        weights = torch.cat([w.flatten() for w in network.parameters() if w.dim() > 1])
        return float((weights.abs() < 0.01).float().mean())

    assert small(l1=0.01) > small() + 0.2


def test_cross_entropy_keeps_cells_between_0_and_1() -> None:
    """Under bce whatever is rebuilt lies between 0 and 1, and the fit learns."""
    raw = made_windows(400, 0)
    low, high = raw.values.amin(), raw.values.amax()
    unit = (raw.values - low) / (high - low)
    data = Scaled(unit, unit, raw.present, raw.fill)
    training = Training(window=4, hidden=(16,), latent=4, epochs=20, loss="bce", scaling="minmax")
    network, curve = fit("model", data, data, training)
    rebuilt = network.decode(network.encode(3 * unit))  # type: ignore[operator]
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1
    assert curve.validation[curve.best_epoch] < 0.98 * curve.validation[0]


def test_ordinary_windows_leave_out_the_faults() -> None:
    """Of a history with a fault in a tenth of its windows, the best rebuilt three quarters hold none of it."""
    data = made_windows(400, 0)
    values = data.values.clone()
    values[::10] += 8.0 * torch.randn(values[::10].shape, generator=torch.Generator().manual_seed(2))
    faulty = Scaled(values, values, data.present, data.fill)
    training = Training.model_validate({"window": 4, "hidden": (16,), "epochs": 12, "latent": 2})
    network, _ = fit("model", faulty, faulty, training)
    kept = ordinary(network, faulty, 75.0)
    assert int(kept.sum()) == 300
    assert not kept[::10].any()
