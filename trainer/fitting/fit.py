"""One fit: minibatches, early stopping with patience, the best epoch's weights restored. Same seed, same weights."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from schemas.training import Training
from trainer.networks import build
from trainer.networks.categorical import OneHotColumns
from trainer.networks.config import NetworkConfig, network_config
from trainer.networks.interface import Batch, Network, Solvable, reconstruction_loss
from trainer.networks.losses import loss_function
from trainer.parallel.progress import EpochEnded, FitBegan, FitEnded, OnProgress, no_progress

BETTER = 1e-4  # a validation loss counts as better when it is lower by this share
MIN_STEPS = 8  # of an epoch, also over a few hundred windows, ...
MIN_BATCH = 16  # ... but no batch gets smaller than this
HIDDEN_SHARE = 0.1  # of the sensors of a training window are hidden, so that the network learns to do without


@dataclass(frozen=True, slots=True)
class Curve:
    """One fit's learning curve: the loss after each epoch, in the network's scaled units."""

    name: str  # "model", or "fold 1", "fold 2", ... for the networks that only score held-out blocks
    train: tuple[float, ...]
    validation: tuple[float, ...]
    best_epoch: int  # 0-based: the epoch whose weights were kept


@dataclass(frozen=True, slots=True)
class Scaled:
    """Windows as the network sees them."""

    values: Tensor  # (window, row, sensor) scaled, filled where missing: the targets
    shown: Tensor  # (window, row, sensor) the inputs: the same, limited to what training held
    present: Tensor  # (window, row, sensor) bool
    fill: Tensor  # (sensor,) the input of a missing cell
    owner: Tensor | None = None  # (column,) whose column it is, where a sensor has several: they are hidden together
    # What is so of most histories, and then need not be copied out for every minibatch.
    _whole: bool = field(init=False)  # nothing is missing
    _plain: bool = field(init=False)  # all is shown as it is

    def __post_init__(self) -> None:
        object.__setattr__(self, "_whole", bool(self.present.all()))
        plain = self.shown.shape == self.values.shape and torch.equal(self.shown, self.values)
        object.__setattr__(self, "_plain", plain)

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, chosen: Tensor | slice) -> Batch:
        """Some of the windows as a minibatch."""
        inputs = self.shown[chosen]
        targets = inputs if self._plain else self.values[chosen]
        return Batch(inputs, targets, None if self._whole else self.present[chosen], self.fill)

    def at(self, chosen: Tensor) -> "Scaled":
        """Some of the windows."""
        return replace(self, values=self.values[chosen], shown=self.shown[chosen], present=self.present[chosen])

    def ahead(self) -> "Scaled":
        """The forecaster's windows: all rows but the last are its inputs, the last is its target."""
        return Scaled(self.values[:, -1:], self.shown[:, :-1], self.present[:, -1:], self.fill)

    def through(self, columns: OneHotColumns) -> "Scaled":
        """The same with categorical sensors as columns of their own."""
        if not columns.categorical.any():
            return self
        values, shown, fill = columns.expand(self.values), columns.expand(self.shown), columns.expand(self.fill)
        return Scaled(values, shown, columns.repeat(self.present), fill, columns.owner)


Make = Callable[[NetworkConfig], tuple[nn.Module, nn.Module]]  # a new network and its objective


def fit(
    name: str,
    data: Scaled,
    validation: Scaled,
    training: Training,
    on_progress: OnProgress = no_progress,
    make: Make = build,
) -> tuple[nn.Module, Curve]:
    """Fits a new network, and tells the callback of each epoch. Blocks; KeyboardInterrupt passes."""
    on_progress(FitBegan(name, training.epochs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        network, objective = make(network_config(training, data.values.shape[2]))
        if isinstance(network, Solvable):
            network.solve(data.shown)
            curve = _solved(name, network, data, validation, training, on_progress)
        else:
            curve = _descend(name, network, objective, data, validation, training, on_progress)
    network.eval()
    on_progress(FitEnded(name, curve.best_epoch, curve.validation[curve.best_epoch]))
    return network, curve


def _solved(
    name: str, network: nn.Module, data: Scaled, validation: Scaled, training: Training, on_progress: OnProgress
) -> Curve:
    losses = loss_over(network, data, training), loss_over(network, validation, training)
    on_progress(EpochEnded(name, 0, *losses))
    return Curve(name, losses[:1], losses[1:], 0)


def _descend(
    name: str,
    network: nn.Module,
    objective: nn.Module,
    data: Scaled,
    validation: Scaled,
    training: Training,
    on_progress: OnProgress,
) -> Curve:
    parameters = [*network.parameters(), *objective.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=training.learning_rate, weight_decay=training.l2, fused=True)
    best, best_epoch = float("inf"), 0
    weights = copy.deepcopy(network.state_dict())
    losses: list[float] = []
    validated: list[float] = []
    for epoch in range(training.epochs):
        losses.append(_epoch(network, objective, optimiser, data, training))
        validated.append(loss_over(network, validation, training))
        on_progress(EpochEnded(name, epoch, losses[-1], validated[-1]))
        if validated[-1] < best * (1 - BETTER):
            best, best_epoch = validated[-1], epoch
            weights = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= training.patience:
            break
    network.load_state_dict(weights)
    return Curve(name, tuple(losses), tuple(validated), best_epoch)


def _epoch(
    network: nn.Module,
    objective: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Scaled,
    training: Training,
) -> float:
    network.train()
    size = min(training.batch, max(MIN_BATCH, len(data) // MIN_STEPS))
    total, loss_fn = 0.0, loss_function(training.loss)
    for chosen in torch.split(torch.randperm(len(data)), size):
        batch = data.batch(chosen)
        hide = torch.rand(len(chosen), 1, len(data.fill)) < HIDDEN_SHARE
        hide = hide if data.owner is None else hide[..., data.owner]
        loss = objective(network, replace(batch, inputs=torch.where(hide, data.fill, batch.inputs)), loss_fn)
        if training.l1:
            loss = loss + training.l1 * _absolute(network)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(chosen)
    return total / len(data)


def _absolute(network: nn.Module) -> Tensor:
    """The sum of all weights' absolute values; biases and norms are free."""
    return torch.stack([weight.abs().sum() for weight in network.parameters() if weight.dim() > 1]).sum()


@torch.no_grad()
def ordinary(network: nn.Module, data: Scaled, percentile: float, size: int = 4096) -> Tensor:
    """The windows that are reconstructed best, (window,) bool: error at or below a percentile of all."""
    trusted: Network = network  # type: ignore[assignment]
    means = []
    for begin in range(0, len(data), size):
        batch = data.batch(slice(begin, begin + size))
        errors = trusted.decode(trusted.encode(batch.inputs)) - batch.targets
        means.append(batch.means(errors.square()))
    error = torch.cat(means)
    return error <= torch.quantile(error, percentile / 100)


@torch.no_grad()
def loss_over(network: nn.Module, data: Scaled, training: Training, size: int = 4096) -> float:
    """The mean loss over present cells of all windows, without hiding, dropout and the other terms of an objective."""
    network.eval()
    trusted: Network = network  # type: ignore[assignment]
    total, loss_fn = 0.0, loss_function(training.loss)
    for begin in range(0, len(data), size):
        batch = data.batch(slice(begin, begin + size))
        total += float(reconstruction_loss(trusted, batch.inputs, batch, loss_fn)) * len(batch.inputs)
    return total / len(data)
