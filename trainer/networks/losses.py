"""The losses of a reconstruction, each a mean over the cells that are present."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import binary_cross_entropy, huber_loss, l1_loss, mse_loss

from trainer.networks.interface import Batch, LossFn

# Reconstruction, targets, and torch's "none" or "mean" -> the errors of all cells, or their mean.
CellLoss = Callable[[Tensor, Tensor, str], Tensor]


def loss_function(loss: str) -> LossFn:
    """The loss by its name in the configuration."""
    errors = _ERRORS[loss]

    def mean(reconstruction: Tensor, batch: Batch) -> Tensor:
        if batch.mask is None:
            return errors(reconstruction, batch.targets, "mean")
        return batch.mean(errors(reconstruction, batch.targets, "none"))

    return mean


def squares(loss: str) -> bool:
    """Whether the score is over squared residuals; of mae it is over absolute ones."""
    return loss != "mae"


def _cross_entropy(reconstruction: Tensor, targets: Tensor, reduction: str) -> Tensor:
    # Min-max scaling may leave 0..1 where a statistic was taken from part of the rows.
    return binary_cross_entropy(reconstruction, targets.clamp(0, 1), reduction=reduction)


_ERRORS: dict[str, CellLoss] = {
    "mse": lambda reconstruction, targets, reduction: mse_loss(reconstruction, targets, reduction=reduction),
    "mae": lambda reconstruction, targets, reduction: l1_loss(reconstruction, targets, reduction=reduction),
    # It turns at 1 scaled unit.
    "huber": lambda reconstruction, targets, reduction: huber_loss(reconstruction, targets, reduction=reduction),
    "bce": _cross_entropy,
}
