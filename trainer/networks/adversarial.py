"""The adversarial autoencoder's objective: a critic keeps the codes of normal windows close to the standard normal.

Makhzani et al., Adversarial Autoencoders, 2015. The critic learns to tell codes from draws, the encoder to deceive it.
Both learn in one step: the critic's gradient is turned round before it reaches the encoder (Ganin & Lempitsky, ICML
2015), which is the original game, so no second optimiser is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from schemas.families import Adversarial
from trainer.networks.interface import Lesson, Measure, Network
from trainer.networks.plan import Plan


class Deceiving(nn.Module):
    """Reconstruction, and the game with the critic, which is trained along and left behind."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        options = plan.training.adversarial or Adversarial()
        self._weight = options.weight
        self.critic = nn.Sequential(nn.Linear(plan.latent, options.critic), nn.ReLU(), nn.Linear(options.critic, 1))

    def forward(self, network: Network, lesson: Lesson, measure: Measure) -> Tensor:
        """The loss of one minibatch."""
        code = network.encode(lesson.given)
        turned = 2 * code.detach() - code  # the same value, the opposite gradient
        taken = softplus(self.critic(turned)).mean() + softplus(-self.critic(torch.randn_like(code))).mean()
        return measure(network.decode(code), lesson) + self._weight * taken
