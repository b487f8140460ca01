"""The adversarial autoencoder's objective: a critic keeps the codes of normal windows close to the standard normal.

Makhzani et al., Adversarial Autoencoders, 2015. The critic learns to tell codes from draws, the encoder to deceive it.
Both learn in one step: the critic's gradient is turned round before it reaches the encoder (Ganin & Lempitsky, ICML
2015), which is the original game, so no second optimiser is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from schemas.families import Adversarial
from trainer.networks.config import NetworkConfig
from trainer.networks.interface import Batch, LossFn, Network


class AdversarialObjective(nn.Module):
    """Reconstruction, and the game with the critic, which is trained along and not exported."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        options = config.training.adversarial or Adversarial()
        self._weight = options.weight
        self.critic = nn.Sequential(nn.Linear(config.latent, options.critic), nn.ReLU(), nn.Linear(options.critic, 1))

    def forward(self, network: Network, batch: Batch, loss_fn: LossFn) -> Tensor:
        """The loss of one minibatch."""
        code = network.encode(batch.inputs)
        reversed_code = 2 * code.detach() - code  # the same value, the opposite gradient
        game = softplus(self.critic(reversed_code)).mean() + softplus(-self.critic(torch.randn_like(code))).mean()
        return loss_fn(network.decode(code), batch) + self._weight * game
