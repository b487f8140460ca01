"""The dense autoencoder: the whole window as one vector, through a narrow middle and back."""

from itertools import pairwise

from torch import Tensor, nn


class DenseAutoencoder(nn.Module):
    """hidden: widths from the input towards the code; the decoder mirrors them. A window of 1 is the tabular form."""

    def __init__(self, window: int, sensors: int, hidden: tuple[int, ...], latent: int, dropout: float) -> None:
        super().__init__()
        self._shape = (window, sensors)
        widths = (window * sensors, *hidden)
        self.encoder = nn.Sequential(*_layers(widths, dropout), nn.Linear(widths[-1], latent))
        self.decoder = nn.Sequential(*_layers((latent, *hidden[::-1]), dropout), nn.Linear(hidden[0], widths[0]))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.encoder(scaled.flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        return self.decoder(code).unflatten(1, self._shape)  # type: ignore[no-any-return]


def _layers(widths: tuple[int, ...], dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers
