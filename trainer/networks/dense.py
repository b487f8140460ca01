"""The undercomplete autoencoder: the whole window as one vector, through a narrow middle and back.

Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006).
"""

from itertools import pairwise

from torch import Tensor, nn

from trainer.networks.config import NetworkConfig


class DenseAutoencoder(nn.Module):
    """hidden: widths from the input towards the code. A window of 1 is the tabular form."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._shape = (config.window, config.sensors)
        widths, back = (config.cells, *config.hidden), (config.latent, *config.decoder)
        self.encoder = nn.Sequential(*tower(widths, config.dropout), nn.Linear(widths[-1], config.latent))
        self.decoder = nn.Sequential(*tower(back, config.dropout), nn.Linear(back[-1], config.cells))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.encoder(scaled.flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.decoder(code).unflatten(1, self._shape)  # type: ignore[no-any-return]


def tower(widths: tuple[int, ...], dropout: float) -> list[nn.Module]:
    """Linear layers from each width to the next, with ReLU and dropout after each."""
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers
