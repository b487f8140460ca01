"""The denoising autoencoder's objective: shown spoiled windows, rebuild the clean ones.

Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008: Gaussian noise, or
masked cells.
"""

import torch
from torch import Tensor, nn

from schemas.families import Denoising
from trainer.networks.interface import Lesson, Measure, Network, rebuilding
from trainer.networks.plan import Plan


class Restoring(nn.Module):
    """Reconstruction of what was there before the noise."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._options = plan.training.denoising or Denoising()

    def forward(self, network: Network, lesson: Lesson, measure: Measure) -> Tensor:
        """The loss of one minibatch."""
        given = lesson.given + self._options.sd * torch.randn_like(lesson.given)
        if self._options.masking:
            given = torch.where(torch.rand_like(given) < self._options.masking, lesson.fill, given)
        return rebuilding(network, given, lesson, measure)
