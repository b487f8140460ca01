"""Network families: one file each, one line each in the registry below; `seam` says what is asked of them."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from trainer.networks.adversarial import Deceiving
from trainer.networks.bounded import Bounded
from trainer.networks.contractive import Contraction
from trainer.networks.conv import ConvAutoencoder
from trainer.networks.denoising import Restoring
from trainer.networks.dense import DenseAutoencoder
from trainer.networks.forecaster import Forecaster
from trainer.networks.interface import Rebuilding
from trainer.networks.linear import LinearAutoencoder
from trainer.networks.plan import Plan
from trainer.networks.recurrent import RecurrentAutoencoder
from trainer.networks.sparse import SparseAutoencoder, Sparsity
from trainer.networks.transformer import TransformerAutoencoder
from trainer.networks.variational import EvidenceBound, VariationalAutoencoder
from trainer.networks.winner import WinnerAutoencoder


@dataclass(frozen=True, slots=True)
class Family:
    """The network, which is exported, and the objective it is trained for; both torch modules (see `seam`)."""

    network: Callable[[Plan], nn.Module]
    objective: Callable[[Plan], nn.Module] = Rebuilding


FAMILIES: dict[str, Family] = {
    "dense": Family(DenseAutoencoder),
    "linear": Family(LinearAutoencoder),
    "sparse": Family(SparseAutoencoder, Sparsity),
    "denoising": Family(DenseAutoencoder, Restoring),
    "contractive": Family(DenseAutoencoder, Contraction),
    "variational": Family(VariationalAutoencoder, EvidenceBound),
    "winner_take_all": Family(WinnerAutoencoder),
    "adversarial": Family(DenseAutoencoder, Deceiving),
    "conv": Family(ConvAutoencoder),
    "lstm": Family(lambda plan: RecurrentAutoencoder(plan, nn.LSTM)),
    "gru": Family(lambda plan: RecurrentAutoencoder(plan, nn.GRU)),
    "transformer": Family(TransformerAutoencoder),
}


def build(plan: Plan) -> tuple[nn.Module, nn.Module]:
    """A new network and its objective."""
    family = FAMILIES[plan.training.family]
    return _within(family.network(plan), plan), family.objective(plan)


def build_forecaster(plan: Plan) -> tuple[nn.Module, nn.Module]:
    """A new forecaster, which stands beside any family, and its objective."""
    return _within(Forecaster(plan), plan), Rebuilding(plan)


def _within(network: nn.Module, plan: Plan) -> nn.Module:
    return Bounded(network) if plan.training.loss == "bce" else network
