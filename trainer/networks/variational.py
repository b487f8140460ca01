"""The variational autoencoder, scored by its reconstruction probability.

Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014. An & Cho, Variational Autoencoder based Anomaly Detection
using Reconstruction Probability, SNU 2015: a window's score is the mean log density of its values over codes drawn for
it. The decoder is no simple function, so there is no closed form; the draws are a fixed set of noise that lies in the
bundle, each with its mirror image. So the score is a function of the window alone, the same in torch and onnxruntime.
"""

import math

import torch
from torch import Tensor, nn

from schemas.families import Variational
from trainer.networks.dense import tower
from trainer.networks.interface import LEAST_SD, Belief, Lesson, Measure
from trainer.networks.plan import Plan

MOST_SD = 5.0  # of a cell, scaled units


class VariationalAutoencoder(nn.Module):
    """Encoder and decoder give a mean and a standard deviation each: of the code, and of every cell."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._shape = (plan.window, plan.sensors)
        widths, back = (plan.cells, *plan.hidden), (plan.latent, *plan.decoder)
        self.encoder = nn.Sequential(*tower(widths, plan.dropout))
        self.code_mean = nn.Linear(widths[-1], plan.latent)
        self.code_log_sd = nn.Linear(widths[-1], plan.latent)
        self.decoder = nn.Sequential(*tower(back, plan.dropout))
        self.cell_mean = nn.Linear(back[-1], plan.cells)
        self.cell_log_sd = nn.Linear(back[-1], plan.cells)
        half = torch.randn((plan.training.variational or Variational()).samples // 2, plan.latent)
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
        low, high = math.log(LEAST_SD), math.log(MOST_SD)
        return mean, low + (high - low) * torch.sigmoid(raw)

    def believe(self, shown: Tensor) -> Belief:
        """(batch, window, sensor) -> the parts of the reconstruction probability.

        The mean of ((x - mean) / sd)² + 2 log sd over the draws is a parabola in x. Its bottom is the reconstruction,
        its width the weight, and its height above that of the surest cell the doubt.
        """
        mean, log_sd = self.posterior(shown)
        codes = mean.unsqueeze(1) + log_sd.exp().unsqueeze(1) * self.noise  # (batch, draw, latent)
        centres, widths = self.cells(codes)  # (batch, draw, window, sensor)
        precisions = torch.exp(-2 * widths)
        total = precisions.mean(dim=1)
        bottom = (precisions * centres).mean(dim=1) / total
        apart = (precisions * (centres - bottom.unsqueeze(1)).square()).mean(dim=1)
        doubt = apart + 2 * (widths.mean(dim=1) - math.log(LEAST_SD))
        return Belief(mean, bottom, LEAST_SD * total.sqrt(), doubt)


class EvidenceBound(nn.Module):
    """The negative evidence lower bound per present cell, with one draw of the code."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._beta = (plan.training.variational or Variational()).beta

    def forward(self, network: VariationalAutoencoder, lesson: Lesson, measure: Measure) -> Tensor:
        """The loss of one minibatch."""
        del measure  # the density says how wrong a cell is
        mean, log_sd = network.posterior(lesson.given)
        centre, width = network.cells(mean + log_sd.exp() * torch.randn_like(mean))
        wrong = 0.5 * ((lesson.wanted - centre) * torch.exp(-width)).square() + width
        divergence = 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd
        counted = wrong.numel() if lesson.present is None else lesson.present.sum().clamp(min=1)
        return lesson.mean(wrong) + self._beta * divergence.sum() / counted
