"""The contractive autoencoder's objective: the reconstruction changes little when the window does.

Rifai et al., Contractive Auto-Encoders, ICML 2011, penalise the code's Jacobian and tie decoder to encoder. Ours are
not tied: an encoder could shrink its code and a decoder blow it up again, and the penalty would be met by nothing. So
the Jacobian is that of the whole reconstruction (Alain & Bengio, JMLR 15, 2014: it acts like small noise).
"""

import torch
from torch import Tensor, nn

from schemas.families import Contractive
from trainer.networks.config import NetworkConfig
from trainer.networks.interface import Batch, LossFn, Network


class ContractiveObjective(nn.Module):
    """Reconstruction, and its squared Jacobian per cell.

    A random sign per output cell makes one backward pass enough: the expected square of the gradient of the signed sum
    is the squared Frobenius norm (Hutchinson 1990).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self._weight = (config.training.contractive or Contractive()).weight

    def forward(self, network: Network, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        inputs = batch.inputs.detach().requires_grad_()
        reconstruction = network.decode(network.encode(inputs))
        signs = torch.randint_like(reconstruction, 2) * 2 - 1
        (slope,) = torch.autograd.grad((signs * reconstruction).sum(), inputs, create_graph=True)
        return loss_fn(reconstruction, batch) + self._weight * slope.square().mean()
