"""The variational autoencoder, scored by its reconstruction probability.

Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014. An & Cho, Variational Autoencoder based Anomaly Detection
using Reconstruction Probability, SNU 2015: a window's score is the mean log density of its values over codes drawn for
it. The decoder is not linear, so there is no closed form; the draws are a fixed set of noise that lies in the
bundle, each with its mirror image. So the score is a function of the window alone, the same in torch and onnxruntime.
"""

import math

import torch
from torch import Tensor, nn

from schemas.families import Variational
from trainer.networks.config import NetworkConfig
from trainer.networks.dense import tower
from trainer.networks.interface import MIN_SD, Batch, LossFn, Prediction

MAX_SD = 5.0  # of a cell, scaled units


class VariationalAutoencoder(nn.Module):
    """Encoder and decoder give a mean and a standard deviation each: of the code, and of every cell."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._shape = (config.window, config.sensors)
        widths, back = (config.cells, *config.hidden), (config.latent, *config.decoder)
        self.encoder = nn.Sequential(*tower(widths, config.dropout))
        self.code_mean = nn.Linear(widths[-1], config.latent)
        self.code_log_sd = nn.Linear(widths[-1], config.latent)
        self.decoder = nn.Sequential(*tower(back, config.dropout))
        self.cell_mean = nn.Linear(back[-1], config.cells)
        self.cell_log_sd = nn.Linear(back[-1], config.cells)
        half = torch.randn((config.training.variational or Variational()).samples // 2, config.latent)
        self.noise: Tensor
        self.register_buffer("noise", torch.cat([half, -half]))

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent), the code's mean."""
        return self.posterior(scaled)[0]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor), the cells' means."""
        return self.cells(code)[0]

    def posterior(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, window, sensor) -> mean and log standard deviation of the code, (batch, latent) each."""
        inner = self.encoder(scaled.flatten(1))
        return self.code_mean(inner), self.code_log_sd(inner)

    def cells(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """(..., latent) -> mean and log standard deviation of the cells, (..., window, sensor) each."""
        inner = self.decoder(code)
        mean, raw = (layer(inner).unflatten(-1, self._shape) for layer in (self.cell_mean, self.cell_log_sd))
        low, high = math.log(MIN_SD), math.log(MAX_SD)
        return mean, low + (high - low) * torch.sigmoid(raw)

    def predict(self, shown: Tensor) -> Prediction:
        """(batch, window, sensor) -> the parts of the reconstruction probability.

        The mean of ((x - mean) / sd)² + 2 log sd over the draws is a parabola in x. Its bottom is the reconstruction,
        its width the weight, and its height above that of the most certain cell the uncertainty.
        """
        mean, log_sd = self.posterior(shown)
        codes = mean.unsqueeze(1) + log_sd.exp().unsqueeze(1) * self.noise  # (batch, draw, latent)
        centres, widths = self.cells(codes)  # (batch, draw, window, sensor)
        precisions = torch.exp(-2 * widths)
        total = precisions.mean(dim=1)
        bottom = (precisions * centres).mean(dim=1) / total
        apart = (precisions * (centres - bottom.unsqueeze(1)).square()).mean(dim=1)
        uncertainty = apart + 2 * (widths.mean(dim=1) - math.log(MIN_SD))
        return Prediction(mean, bottom, MIN_SD * total.sqrt(), uncertainty)


class EvidenceLowerBound(nn.Module):
    """The negative evidence lower bound per present cell, with one draw of the code."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._beta = (config.training.variational or Variational()).beta

    def forward(self, network: VariationalAutoencoder, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        del loss_fn  # the density says the error of a cell
        mean, log_sd = network.posterior(batch.inputs)
        centre, width = network.cells(mean + log_sd.exp() * torch.randn_like(mean))
        errors = 0.5 * ((batch.targets - centre) * torch.exp(-width)).square() + width
        divergence = 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd
        counted = errors.numel() if batch.mask is None else batch.mask.sum().clamp(min=1)
        return batch.mean(errors) + self._beta * divergence.sum() / counted
