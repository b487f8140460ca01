"""The contractive autoencoder's objective: what is rebuilt changes little when the window does.

Rifai et al., Contractive Auto-Encoders, ICML 2011, penalise the code's Jacobian and tie decoder to encoder. Ours are
not tied: an encoder could shrink its code and a decoder blow it up again, and the penalty would be met by nothing. So
the Jacobian is that of the whole reconstruction (Alain & Bengio, JMLR 15, 2014: it acts like small noise).
"""

import torch
from torch import Tensor, nn

from schemas.families import Contractive
from trainer.networks.interface import Lesson, Measure, Network
from trainer.networks.plan import Plan


class Contraction(nn.Module):
    """Reconstruction, and its squared Jacobian per cell.

    A random sign per output cell makes one backward pass enough: the expected square of the gradient of the signed sum
    is the squared Frobenius norm (Hutchinson 1990).
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._weight = (plan.training.contractive or Contractive()).weight

    def forward(self, network: Network, lesson: Lesson, measure: Measure) -> Tensor:
        """The loss of one minibatch."""
        given = lesson.given.detach().requires_grad_()
        rebuilt = network.decode(network.encode(given))
        signs = torch.randint_like(rebuilt, 2) * 2 - 1
        (slope,) = torch.autograd.grad((signs * rebuilt).sum(), given, create_graph=True)
        return measure(rebuilt, lesson) + self._weight * slope.square().mean()
