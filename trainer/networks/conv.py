"""The 1-D convolutional autoencoder: convolutions along time, halving it, then one dense code for the window.

The decoder unfolds the code over the whole window at once and smooths it with convolutions of stride 1: upsampling
layers would leave the pattern of their step in every residual.

Masci et al., Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction, ICANN 2011.
"""

from itertools import pairwise

from torch import Tensor, nn

from trainer.networks.config import NetworkConfig

KERNEL = 3


class ConvAutoencoder(nn.Module):
    """hidden: channels of the encoder's convolutions; the first keeps the window's length, each further halves it."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        length, layers = config.window, []
        for index, (inner, outer) in enumerate(pairwise((config.sensors, *config.hidden))):
            stride = 1 if index == 0 else 2
            length = -(-length // stride)
            layers += [nn.Conv1d(inner, outer, KERNEL, stride, KERNEL // 2), nn.ReLU(), nn.Dropout(config.dropout)]
        self.convolve = nn.Sequential(*layers)
        self.squeeze = nn.Linear(config.hidden[-1] * length, config.latent)
        channels = config.training.decoder or (config.hidden[0], config.hidden[0])
        self._unfolded = (channels[0], config.window)
        self.unfold = nn.Linear(config.latent, channels[0] * config.window)
        smooth: list[nn.Module] = [nn.ReLU(), nn.Dropout(config.dropout)]
        for inner, outer in pairwise(channels):
            smooth += [nn.Conv1d(inner, outer, KERNEL, 1, KERNEL // 2), nn.ReLU()]
        self.smooth = nn.Sequential(*smooth, nn.Conv1d(channels[-1], config.sensors, KERNEL, 1, KERNEL // 2))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self.convolve(scaled.transpose(1, 2)).flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        unfolded = self.unfold(code).unflatten(1, self._unfolded)
        return self.smooth(unfolded).transpose(1, 2)  # type: ignore[no-any-return]
