"""The size of a network, and the family's own options, from the configuration."""

import math
from dataclasses import dataclass

from schemas.training import Training

WIDE = {"sparse", "winner_take_all"}  # their codes are wide, and most units are 0


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The size of a network, and the whole configuration for the family's own options."""

    window: int
    sensors: int
    hidden: tuple[int, ...]
    decoder: tuple[int, ...]  # from the code towards the output
    latent: int
    dropout: float
    training: Training

    @property
    def cells(self) -> int:
        """Values in a window."""
        return self.window * self.sensors


def network_config(training: Training, sensors: int) -> NetworkConfig:
    """The network a configuration asks for; the default code is small, so that faults are not reconstructed as well."""
    small = training.hidden[-1] if training.family in WIDE else max(2, math.isqrt(sensors))
    return NetworkConfig(
        window=training.window,
        sensors=sensors,
        hidden=training.hidden,
        decoder=training.decoder or training.hidden[::-1],
        latent=training.latent if training.latent is not None else small,
        dropout=training.dropout,
        training=training,
    )
