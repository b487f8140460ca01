"""One fit: minibatches, early stopping with patience, the best epoch's weights restored. Same seed, same weights."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from schemas.config import Training
from trainer.fitted import Curve
from trainer.networks import FAMILIES, Network, sizes

BETTER = 1e-4  # a validation loss counts as better when it is lower by this share
LEAST_STEPS = 8  # an epoch over a few hundred windows still takes so many steps ...
LEAST_BATCH = 16  # ... but no batch gets smaller than this
HIDDEN_SHARE = 0.1  # of the sensors of a training window are hidden, so that the network learns to do without


@dataclass(frozen=True, slots=True)
class Scaled:
    """Windows as the network sees them."""

    values: Tensor  # (window, row, sensor) scaled, filled where missing
    shown: Tensor  # (window, row, sensor) the same as far as the network may see it
    present: Tensor  # (window, row, sensor) bool

    def __len__(self) -> int:
        return len(self.values)


Epoch = Callable[[int, float, float], None]  # epoch, training loss, validation loss


def fit(
    name: str, data: Scaled, validation: Scaled, fill: Tensor, training: Training, told: Epoch
) -> tuple[nn.Module, Curve]:
    """Fits a new network. fill: (sensor,) the scaled value of a missing cell. Blocks; KeyboardInterrupt passes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        network = FAMILIES[training.family](sizes(training, data.values.shape[2]))
        curve = _descend(name, network, data, validation, fill, training, told)
    network.eval()
    return network, curve


def _descend(
    name: str, network: nn.Module, data: Scaled, validation: Scaled, fill: Tensor, training: Training, told: Epoch
) -> Curve:
    optimiser = torch.optim.Adam(network.parameters(), lr=training.learning_rate, weight_decay=training.l2, fused=True)
    best, best_epoch = float("inf"), 0
    weights = copy.deepcopy(network.state_dict())
    losses: list[float] = []
    judged: list[float] = []
    for epoch in range(training.epochs):
        losses.append(_epoch(network, optimiser, data, fill, training))
        judged.append(loss_over(network, validation, training))
        told(epoch, losses[-1], judged[-1])
        if judged[-1] < best * (1 - BETTER):
            best, best_epoch = judged[-1], epoch
            weights = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= training.patience:
            break
    network.load_state_dict(weights)
    return Curve(name, tuple(losses), tuple(judged), best_epoch)


def _epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, data: Scaled, fill: Tensor, training: Training
) -> float:
    network.train()
    size = min(training.batch, max(LEAST_BATCH, len(data) // LEAST_STEPS))
    total = 0.0
    for chosen in torch.split(torch.randperm(len(data)), size):
        values, shown, present = data.values[chosen], data.shown[chosen], data.present[chosen]
        hide = torch.rand(len(chosen), 1, values.shape[2]) < HIDDEN_SHARE
        loss = _loss(network, torch.where(hide, fill, shown), values, present, training.loss)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += float(loss.detach()) * len(chosen)
    return total / len(data)


@torch.no_grad()
def loss_over(network: nn.Module, data: Scaled, training: Training, size: int = 4096) -> float:
    """The mean loss over present cells of all windows, without hiding and dropout."""
    network.eval()
    total = 0.0
    for begin in range(0, len(data), size):
        values, shown, present = (part[begin : begin + size] for part in (data.values, data.shown, data.present))
        total += float(_loss(network, shown, values, present, training.loss)) * len(values)
    return total / len(data)


def _loss(network: Network | nn.Module, given: Tensor, wanted: Tensor, present: Tensor, kind: str) -> Tensor:
    """Mean squared or absolute error over present cells."""
    rebuilt = network.decode(network.encode(given))  # type: ignore[operator]
    error = torch.where(present, rebuilt - wanted, 0.0)
    size = error.square() if kind == "mse" else error.abs()
    return size.sum() / present.sum().clamp(min=1)
