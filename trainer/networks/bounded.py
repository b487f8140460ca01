"""Any network with its output between 0 and 1, which cross-entropy needs."""

import torch
from torch import Tensor, nn

from trainer.networks.interface import Network


class Bounded(nn.Module):
    """The network inside, its cells through a sigmoid."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        network: Network = self.inner  # type: ignore[assignment]
        return network.encode(scaled)

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor) in 0..1."""
        network: Network = self.inner  # type: ignore[assignment]
        return torch.sigmoid(network.decode(code))
