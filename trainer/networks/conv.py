"""The 1-D convolutional autoencoder: convolutions along time, halving it, then one dense code for the window.

The decoder unfolds the code over the whole window at once and smooths it with convolutions of stride 1: upsampling
layers would leave the seams of their own step in every residual.
"""

from itertools import pairwise

from torch import Tensor, nn

KERNEL = 3


class ConvAutoencoder(nn.Module):
    """hidden: channels of the encoder's convolutions; the first keeps the window's length, each further halves it."""

    def __init__(self, window: int, sensors: int, hidden: tuple[int, ...], latent: int, dropout: float) -> None:
        super().__init__()
        length, layers = window, []
        channels = (sensors, *hidden)
        for index, (inner, outer) in enumerate(pairwise(channels)):
            stride = 1 if index == 0 else 2
            length = -(-length // stride)
            layers += [nn.Conv1d(inner, outer, KERNEL, stride, KERNEL // 2), nn.ReLU(), nn.Dropout(dropout)]
        self.convolve = nn.Sequential(*layers)
        self.squeeze = nn.Linear(hidden[-1] * length, latent)
        self._unfolded = (hidden[0], window)
        self.unfold = nn.Linear(latent, hidden[0] * window)
        self.smooth = nn.Sequential(
            nn.ReLU(), nn.Dropout(dropout), nn.Conv1d(hidden[0], hidden[0], KERNEL, 1, KERNEL // 2),
            nn.ReLU(), nn.Conv1d(hidden[0], sensors, KERNEL, 1, KERNEL // 2),
        )  # fmt: skip

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self.convolve(scaled.transpose(1, 2)).flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        unfolded = self.unfold(code).unflatten(1, self._unfolded)
        return self.smooth(unfolded).transpose(1, 2)  # type: ignore[no-any-return]
