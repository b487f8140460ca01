"""The linear autoencoder, which is principal component analysis.

Under squared error its best weights span the leading principal components (Baldi & Hornik, Neural Networks 2, 1989);
so they are computed (Halko, Martinsson & Tropp, SIAM Review 53, 2011) and not descended to.
"""

import torch
from torch import Tensor, nn

from trainer.networks.config import NetworkConfig

SPARE = 16  # components computed beyond those kept, and ...
ROUNDS = 8  # ... power iterations: they make the kept ones exact to float32 where the spectrum falls at all


class LinearAutoencoder(nn.Module):
    """The code is the window's leading principal components."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._shape = (config.window, config.sensors)
        self.encoder = nn.Linear(config.cells, config.latent)
        self.decoder = nn.Linear(config.latent, config.cells)

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.encoder(scaled.flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.decoder(code).unflatten(1, self._shape)  # type: ignore[no-any-return]

    @torch.no_grad()
    def solve(self, values: Tensor) -> None:
        """Takes the principal components of windows (window, row, sensor); a code wider than they are many is 0."""
        cells = values.flatten(1)
        mean = cells.mean(dim=0)
        most = min(cells.shape)
        kept = min(self.encoder.out_features, most)
        _, _, axes = torch.pca_lowrank(cells, q=min(kept + SPARE, most), niter=ROUNDS)
        components = torch.zeros_like(self.encoder.weight)
        components[:kept] = axes[:, :kept].T
        self.encoder.weight.copy_(components)
        self.encoder.bias.copy_(-components @ mean)
        self.decoder.weight.copy_(components.T)
        self.decoder.bias.copy_(mean)
