"""The winner-take-all autoencoder: a unit of the code is active only in the windows that excite it most.

Makhzani & Frey, Winner-Take-All Autoencoders, NIPS 2015: in a minibatch each unit keeps its largest activations, a
stated share of them (lifetime sparsity). Alone, a window has no minibatch to win in: so the activation that a unit must
exceed is averaged over training and kept. Only what exceeds it counts, since a code that jumps there would turn a
float's last bit into another score.
"""

import torch
from torch import Tensor, nn

from schemas.families import WinnerTakeAll
from trainer.networks.config import NetworkConfig
from trainer.networks.dense import DenseAutoencoder

MOMENTUM = 0.2  # of the running average, per minibatch


class WinnerAutoencoder(nn.Module):
    """A dense network with a wide code, most of which is 0."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._share = (config.training.winner_take_all or WinnerTakeAll()).share
        self.dense = DenseAutoencoder(config)
        self.bar: Tensor
        self.register_buffer("bar", torch.zeros(config.latent))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent), 0 where a unit does not win. In training the batch decides."""
        active = torch.relu(self.dense.encode(scaled))
        return torch.relu(active - (self._bar_of(active.detach()) if self.training else self.bar))

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.dense.decode(code)

    def _bar_of(self, active: Tensor) -> Tensor:
        """Each unit's largest activation that does not win in this batch, (latent,)."""
        winners = max(1, round(self._share * len(active)))
        bar = active.topk(min(winners + 1, len(active)), dim=0).values[-1]
        self.bar.lerp_(bar, MOMENTUM)
        return bar
