"""The undercomplete autoencoder: the whole window as one vector, through a narrow middle and back.

Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006).
"""

from itertools import pairwise

from torch import Tensor, nn

from trainer.networks.plan import Plan


class DenseAutoencoder(nn.Module):
    """hidden: widths from the input towards the code. A window of 1 is the tabular form."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._shape = (plan.window, plan.sensors)
        widths, back = (plan.cells, *plan.hidden), (plan.latent, *plan.decoder)
        self.encoder = nn.Sequential(*tower(widths, plan.dropout), nn.Linear(widths[-1], plan.latent))
        self.decoder = nn.Sequential(*tower(back, plan.dropout), nn.Linear(back[-1], plan.cells))

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
