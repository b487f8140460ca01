"""Network families: one file each, one line each in the registry below; `interface` says what is asked of them."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from trainer.networks.adversarial import AdversarialObjective
from trainer.networks.bounded import Bounded
from trainer.networks.config import NetworkConfig
from trainer.networks.contractive import ContractiveObjective
from trainer.networks.conv import ConvAutoencoder
from trainer.networks.denoising import DenoisingObjective
from trainer.networks.dense import DenseAutoencoder
from trainer.networks.forecaster import Forecaster
from trainer.networks.interface import ReconstructionObjective
from trainer.networks.linear import LinearAutoencoder
from trainer.networks.recurrent import RecurrentAutoencoder
from trainer.networks.sparse import SparseAutoencoder, SparseObjective
from trainer.networks.transformer import TransformerAutoencoder
from trainer.networks.variational import EvidenceLowerBound, VariationalAutoencoder
from trainer.networks.winner import WinnerAutoencoder


@dataclass(frozen=True, slots=True)
class Family:
    """The network, which is exported, and the objective it is trained for; both torch modules (see `interface`)."""

    network: Callable[[NetworkConfig], nn.Module]
    objective: Callable[[NetworkConfig], nn.Module] = ReconstructionObjective


FAMILIES: dict[str, Family] = {
    "dense": Family(DenseAutoencoder),
    "linear": Family(LinearAutoencoder),
    "sparse": Family(SparseAutoencoder, SparseObjective),
    "denoising": Family(DenseAutoencoder, DenoisingObjective),
    "contractive": Family(DenseAutoencoder, ContractiveObjective),
    "variational": Family(VariationalAutoencoder, EvidenceLowerBound),
    "winner_take_all": Family(WinnerAutoencoder),
    "adversarial": Family(DenseAutoencoder, AdversarialObjective),
    "conv": Family(ConvAutoencoder),
    "lstm": Family(lambda config: RecurrentAutoencoder(config, nn.LSTM)),
    "gru": Family(lambda config: RecurrentAutoencoder(config, nn.GRU)),
    "transformer": Family(TransformerAutoencoder),
}


def build(config: NetworkConfig) -> tuple[nn.Module, nn.Module]:
    """A new network and its objective."""
    family = FAMILIES[config.training.family]
    return _within(family.network(config), config), family.objective(config)


def build_forecaster(config: NetworkConfig) -> tuple[nn.Module, nn.Module]:
    """A new forecaster, which any family can have beside, and its objective."""
    return _within(Forecaster(config), config), ReconstructionObjective(config)


def _within(network: nn.Module, config: NetworkConfig) -> nn.Module:
    return Bounded(network) if config.training.loss == "bce" else network
