"""The denoising autoencoder's objective: reconstruct clean windows from noisy ones.

Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008: Gaussian noise, or
masked cells.
"""

import torch
from torch import Tensor, nn

from schemas.families import Denoising
from trainer.networks.config import NetworkConfig
from trainer.networks.interface import Batch, LossFn, Network, reconstruction_loss


class DenoisingObjective(nn.Module):
    """Reconstruction of the windows before the noise."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._options = config.training.denoising or Denoising()

    def forward(self, network: Network, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        inputs = batch.inputs + self._options.sd * torch.randn_like(batch.inputs)
        if self._options.masking:
            inputs = torch.where(torch.rand_like(inputs) < self._options.masking, batch.fill, inputs)
        return reconstruction_loss(network, inputs, batch, loss_fn)
