"""One fit: minibatches, early stopping with patience, the best epoch's weights restored. Same seed, same weights."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from schemas.training import Training
from trainer.networks import build
from trainer.networks.coded import Columns
from trainer.networks.interface import Lesson, Network, Solvable, rebuilding
from trainer.networks.losses import measure
from trainer.networks.plan import Plan, plan

BETTER = 1e-4  # a validation loss counts as better when it is lower by this share
LEAST_STEPS = 8  # an epoch over a few hundred windows still takes so many steps ...
LEAST_BATCH = 16  # ... but no batch gets smaller than this
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

    values: Tensor  # (window, row, sensor) scaled, filled where missing: what is to be given
    shown: Tensor  # (window, row, sensor) the same as far as the network may see it
    present: Tensor  # (window, row, sensor) bool
    fill: Tensor  # (sensor,) what a missing cell is shown as
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

    def lesson(self, chosen: Tensor | slice) -> Lesson:
        """Some of the windows, shown as they are."""
        given = self.shown[chosen]
        wanted = given if self._plain else self.values[chosen]
        return Lesson(given, wanted, None if self._whole else self.present[chosen], self.fill)

    def at(self, chosen: Tensor) -> "Scaled":
        """Some of the windows."""
        return replace(self, values=self.values[chosen], shown=self.shown[chosen], present=self.present[chosen])

    def ahead(self) -> "Scaled":
        """The forecaster's task: shown all rows but the last, it is to give the last."""
        return Scaled(self.values[:, -1:], self.shown[:, :-1], self.present[:, -1:], self.fill)

    def through(self, columns: Columns) -> "Scaled":
        """The same with categorical sensors as columns of their own."""
        if not columns.coded.any():
            return self
        values, shown, fill = columns.expand(self.values), columns.expand(self.shown), columns.expand(self.fill)
        return Scaled(values, shown, columns.repeat(self.present), fill, columns.owner)


Epoch = Callable[[int, float, float], None]  # epoch, training loss, validation loss
Make = Callable[[Plan], tuple[nn.Module, nn.Module]]  # a new network and its objective


def fit(
    name: str, data: Scaled, validation: Scaled, training: Training, told: Epoch, make: Make = build
) -> tuple[nn.Module, Curve]:
    """Fits a new network. Blocks; KeyboardInterrupt passes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        network, objective = make(plan(training, data.values.shape[2]))
        if isinstance(network, Solvable):
            network.solve(data.shown)
            curve = _solved(name, network, data, validation, training, told)
        else:
            curve = _descend(name, network, objective, data, validation, training, told)
    network.eval()
    return network, curve


def _solved(name: str, network: nn.Module, data: Scaled, validation: Scaled, training: Training, told: Epoch) -> Curve:
    losses = loss_over(network, data, training), loss_over(network, validation, training)
    told(0, *losses)
    return Curve(name, losses[:1], losses[1:], 0)


def _descend(
    name: str,
    network: nn.Module,
    objective: nn.Module,
    data: Scaled,
    validation: Scaled,
    training: Training,
    told: Epoch,
) -> Curve:
    learnt = [*network.parameters(), *objective.parameters()]
    optimiser = torch.optim.Adam(learnt, lr=training.learning_rate, weight_decay=training.l2, fused=True)
    best, best_epoch = float("inf"), 0
    weights = copy.deepcopy(network.state_dict())
    losses: list[float] = []
    judged: list[float] = []
    for epoch in range(training.epochs):
        losses.append(_epoch(network, objective, optimiser, data, training))
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
    network: nn.Module,
    objective: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Scaled,
    training: Training,
) -> float:
    network.train()
    size = min(training.batch, max(LEAST_BATCH, len(data) // LEAST_STEPS))
    total, wrong = 0.0, measure(training.loss)
    for chosen in torch.split(torch.randperm(len(data)), size):
        lesson = data.lesson(chosen)
        hide = torch.rand(len(chosen), 1, len(data.fill)) < HIDDEN_SHARE
        hide = hide if data.owner is None else hide[..., data.owner]
        loss = objective(network, replace(lesson, given=torch.where(hide, data.fill, lesson.given)), wrong)
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
    """The windows that are rebuilt best, (window,) bool: error at or below a percentile of all."""
    trusted: Network = network  # type: ignore[assignment]
    errors = []
    for begin in range(0, len(data), size):
        lesson = data.lesson(slice(begin, begin + size))
        wrong = trusted.decode(trusted.encode(lesson.given)) - lesson.wanted
        errors.append(lesson.means(wrong.square()))
    error = torch.cat(errors)
    return error <= torch.quantile(error, percentile / 100)


@torch.no_grad()
def loss_over(network: nn.Module, data: Scaled, training: Training, size: int = 4096) -> float:
    """The mean loss over present cells of all windows, without hiding, dropout and what else an objective asks."""
    network.eval()
    trusted: Network = network  # type: ignore[assignment]
    total, wrong = 0.0, measure(training.loss)
    for begin in range(0, len(data), size):
        lesson = data.lesson(slice(begin, begin + size))
        total += float(rebuilding(trusted, lesson.given, lesson, wrong)) * len(lesson.given)
    return total / len(data)
