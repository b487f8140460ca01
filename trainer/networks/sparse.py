"""The sparse autoencoder: a wide code of which few units are active at a time.

Units are kept near a small mean activation rho by the Kullback-Leibler divergence between two coins, rho and the mean
over the minibatch (Lee, Ekanadham & Ng, NIPS 2007; Ng, CS294A lecture notes, 2011), or their sum by an L1 penalty.
"""

import torch
from torch import Tensor, nn

from schemas.families import Sparse
from trainer.networks.config import NetworkConfig
from trainer.networks.dense import DenseAutoencoder
from trainer.networks.interface import Batch, LossFn, Network

EDGE = 1e-6  # keeps a unit that is always on or off from an infinite divergence


class SparseAutoencoder(nn.Module):
    """A dense network whose code lies between 0 and 1."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dense = DenseAutoencoder(config)

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent) in 0..1."""
        return torch.sigmoid(self.dense.encode(scaled))

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.dense.decode(code)


class SparseObjective(nn.Module):
    """Reconstruction, and how far the code is from sparse. Both are means over units, so weights suit any width."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._options = config.training.sparse or Sparse()

    def forward(self, network: Network, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        code = network.encode(batch.inputs)
        loss = loss_fn(network.decode(code), batch)
        rho, on = self._options.rho, code.mean(dim=0).clamp(EDGE, 1 - EDGE)
        apart = rho * torch.log(rho / on) + (1 - rho) * torch.log((1 - rho) / (1 - on))
        return loss + self._options.beta * apart.mean() + self._options.l1 * code.abs().mean()
