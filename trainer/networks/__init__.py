"""Network families: one file each, one line each in the registry below.

A network rebuilds windows of scaled values: `encode` (batch, window, sensor) -> (batch, latent), `decode` back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from schemas.config import Training
from trainer.networks.conv import ConvAutoencoder
from trainer.networks.dense import DenseAutoencoder


class Network(Protocol):
    """What the graph asks of a family; every family is a torch module beside."""

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) scaled values to (batch, latent)."""
        ...

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) to (batch, window, sensor) scaled values."""
        ...


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of a network."""

    window: int
    sensors: int
    hidden: tuple[int, ...]
    latent: int
    dropout: float


FAMILIES: dict[str, Callable[[Sizes], DenseAutoencoder | ConvAutoencoder]] = {
    "dense": lambda s: DenseAutoencoder(s.window, s.sensors, s.hidden, s.latent, s.dropout),
    "conv": lambda s: ConvAutoencoder(s.window, s.sensors, s.hidden, s.latent, s.dropout),
}


def sizes(training: Training, sensors: int) -> Sizes:
    """The size a configuration asks for; the default latent code is small, so that faults are not rebuilt as well."""
    latent = training.latent if training.latent is not None else max(2, math.isqrt(sensors))
    return Sizes(training.window, sensors, training.hidden, latent, training.dropout)
