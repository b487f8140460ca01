"""What training, graph and families ask of each other.

A family is a network, which is exported, and an objective, which is minimised in training and not exported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trainer.networks.config import NetworkConfig

MIN_SD = 0.05  # of a sensor's own spread: no reconstruction counts as more exact than that


class Network(Protocol):
    """What the graph asks of a family; every network is a torch module as well."""

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) scaled values to (batch, latent)."""
        ...

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) to (batch, window, sensor) scaled values."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network gives for windows. Weight and uncertainty: of probabilistic families, else None."""

    code: Tensor  # (batch, latent)
    reconstruction: Tensor  # (batch, window, sensor) scaled values
    weight: Tensor | None = None  # (batch, window, sensor) MIN_SD / the cell's own standard deviation, at most 1
    uncertainty: Tensor | None = None  # (batch, window, sensor) >= 0: added to a cell's squared standardised residual
    displayed: Tensor | None = None  # (batch, window, sensor) the reconstruction that a person sees; None: the same


@runtime_checkable
class Probabilistic(Protocol):
    """A network that states an uncertainty for each cell."""

    def predict(self, shown: Tensor) -> Prediction:
        """(batch, window, sensor) scaled values to their prediction."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A network whose best weights are known in closed form: it needs no gradient descent."""

    def solve(self, values: Tensor) -> None:
        """Takes the best weights for windows of scaled values (window, row, sensor)."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A minibatch of scaled windows, (batch, window, sensor) each."""

    inputs: Tensor  # with some sensors hidden
    targets: Tensor  # what the network is to reconstruct
    mask: Tensor | None  # bool: the cells that count; None: all
    fill: Tensor  # (sensor,) the input of a missing cell

    def mean(self, cells: Tensor) -> Tensor:
        """The mean of (batch, window, sensor) over the cells that count, a scalar."""
        if self.mask is None:
            return cells.mean()
        return torch.where(self.mask, cells, 0.0).sum() / self.mask.sum().clamp(min=1)

    def means(self, cells: Tensor) -> Tensor:
        """The same of each window, (batch,)."""
        if self.mask is None:
            return cells.mean(dim=(1, 2))
        return torch.where(self.mask, cells, 0.0).sum(dim=(1, 2)) / self.mask.sum(dim=(1, 2)).clamp(min=1)


LossFn = Callable[[Tensor, Batch], Tensor]  # reconstruction and batch -> scalar, the mean over the cells that count


class ReconstructionObjective(nn.Module):
    """The plain objective: reconstruct the inputs."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        del config

    def forward(self, network: Network, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        return reconstruction_loss(network, batch.inputs, batch, loss_fn)


def reconstruction_loss(network: Network, inputs: Tensor, batch: Batch, loss_fn: LossFn) -> Tensor:
    """The loss of what the network makes of `inputs` against the batch's targets."""
    return loss_fn(network.decode(network.encode(inputs)), batch)


def predict(network: Network, shown: Tensor) -> Prediction:
    """The prediction of any network for windows (batch, window, sensor)."""
    if isinstance(network, Probabilistic):
        return network.predict(shown)
    code = network.encode(shown)
    return Prediction(code, network.decode(code))
