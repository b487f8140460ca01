"""What training, graph and families ask of each other.

A family is a network, which is exported, and an objective, which it is trained for and which stays behind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trainer.networks.plan import Plan

LEAST_SD = 0.05  # of a sensor's own spread: no reconstruction is believed to be better than that


class Network(Protocol):
    """What the graph asks of a family; every network is a torch module beside."""

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) scaled values to (batch, latent)."""
        ...

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) to (batch, window, sensor) scaled values."""
        ...


@dataclass(frozen=True, slots=True)
class Belief:
    """What a network makes of windows. Weight and doubt: of families that know how sure they are, else None."""

    code: Tensor  # (batch, latent)
    rebuilt: Tensor  # (batch, window, sensor) scaled values
    weight: Tensor | None = None  # (batch, window, sensor) LEAST_SD / the cell's own standard deviation, at most 1
    doubt: Tensor | None = None  # (batch, window, sensor) >= 0: added to a cell's squared standardised residual
    told: Tensor | None = None  # (batch, window, sensor) what a person is shown as rebuilt; None: `rebuilt`


@runtime_checkable
class Believing(Protocol):
    """A network that knows how sure it is of each cell."""

    def believe(self, shown: Tensor) -> Belief:
        """(batch, window, sensor) scaled values to what it makes of them."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A network whose best weights are known in closed form: nothing is left to descend to."""

    def solve(self, values: Tensor) -> None:
        """Takes the best weights for windows of scaled values (window, row, sensor)."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """A minibatch of scaled windows, (batch, window, sensor) each."""

    given: Tensor  # what the network is shown, with some sensors hidden
    wanted: Tensor  # what it is to rebuild
    present: Tensor | None  # bool: the cells that count; None: all
    fill: Tensor  # (sensor,) what a missing cell is shown as

    def mean(self, cells: Tensor) -> Tensor:
        """Of something said of every cell, (batch, window, sensor), the mean over those that count."""
        if self.present is None:
            return cells.mean()
        return torch.where(self.present, cells, 0.0).sum() / self.present.sum().clamp(min=1)

    def means(self, cells: Tensor) -> Tensor:
        """The same window by window, (batch,)."""
        if self.present is None:
            return cells.mean(dim=(1, 2))
        return torch.where(self.present, cells, 0.0).sum(dim=(1, 2)) / self.present.sum(dim=(1, 2)).clamp(min=1)


Measure = Callable[[Tensor, Lesson], Tensor]  # rebuilt windows, and how wrong they are: a scalar over present cells


class Rebuilding(nn.Module):
    """The plain objective: rebuild what was given."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        del plan

    def forward(self, network: Network, lesson: Lesson, measure: Measure) -> Tensor:
        """The loss of one minibatch."""
        return rebuilding(network, lesson.given, lesson, measure)


def rebuilding(network: Network, given: Tensor, lesson: Lesson, measure: Measure) -> Tensor:
    """How wrong the network rebuilds the lesson from `given`."""
    return measure(network.decode(network.encode(given)), lesson)


def believe(network: Network, shown: Tensor) -> Belief:
    """What any network makes of windows (batch, window, sensor)."""
    if isinstance(network, Believing):
        return network.believe(shown)
    code = network.encode(shown)
    return Belief(code, network.decode(code))
