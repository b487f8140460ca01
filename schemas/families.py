"""What the families of networks can be told beside the common keys: one section each, read by its family only."""

from typing import Literal

from pydantic import Field

from schemas.base import Contract

FamilyName = Literal[
    "dense",
    "linear",
    "sparse",
    "denoising",
    "contractive",
    "variational",
    "winner_take_all",
    "adversarial",
    "conv",
    "lstm",
    "gru",
    "transformer",
]


class Sparse(Contract):
    """Sparse: few units of the code speak at a time."""

    rho: float = Field(default=0.05, gt=0, lt=1, description="the share of windows in which a unit should be on")
    beta: float = Field(default=0.1, ge=0, description="weight of the Kullback-Leibler divergence from rho")
    l1: float = Field(default=0.0, ge=0, description="weight of the code's mean absolute value")


class Denoising(Contract):
    """Denoising: the network is shown noisy windows and reconstructs clean ones."""

    sd: float = Field(default=0.2, ge=0, description="of Gaussian noise, in scaled units; 0: none")
    masking: float = Field(default=0.0, ge=0, lt=1, description="share of cells that are shown as if missing")


class Contractive(Contract):
    """Contractive: small changes of a window change its reconstruction little."""

    weight: float = Field(default=0.04, ge=0, description="of the squared Jacobian; like noise of its square root")


class Variational(Contract):
    """Variational: the score is the reconstruction probability."""

    beta: float = Field(default=1.0, ge=0, description="weight of the code's divergence from the standard normal")
    samples: int = Field(default=8, ge=2, le=256, multiple_of=2, description="fixed draws of the code per window")


class WinnerTakeAll(Contract):
    """Winner-take-all: a unit of the code speaks only in the windows that excite it most."""

    share: float = Field(default=0.2, gt=0, lt=1, description="of windows that each unit wins; less for wider codes")


class Adversarial(Contract):
    """Adversarial: a critic keeps the codes of normal windows close to the standard normal."""

    weight: float = Field(default=0.1, ge=0, description="of the critic's loss beside the reconstruction")
    critic: int = Field(default=32, ge=1, description="width of the critic's hidden layer")


class Transformer(Contract):
    """Transformer: attention between the rows of a window."""

    heads: int = Field(default=4, ge=1, description="of attention; divides the first of `hidden`")
