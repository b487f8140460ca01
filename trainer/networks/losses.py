"""How wrong a rebuilt window is: the losses, each a mean over the cells that are present."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import binary_cross_entropy, huber_loss, l1_loss, mse_loss

from trainer.networks.interface import Lesson, Measure

# Rebuilt, wanted, and torch's "none" or "mean" -> how wrong each cell is, or all of them on average.
Cells = Callable[[Tensor, Tensor, str], Tensor]


def measure(loss: str) -> Measure:
    """The loss by its name in the configuration."""
    cells = _CELLS[loss]

    def mean(rebuilt: Tensor, lesson: Lesson) -> Tensor:
        if lesson.present is None:
            return cells(rebuilt, lesson.wanted, "mean")
        return lesson.mean(cells(rebuilt, lesson.wanted, "none"))

    return mean


def squares(loss: str) -> bool:
    """Whether the score is over squared residuals; of mae it is over absolute ones."""
    return loss != "mae"


def _cross_entropy(rebuilt: Tensor, wanted: Tensor, reduction: str) -> Tensor:
    # Min-max scaling may leave 0..1 where a statistic was taken from part of the rows.
    return binary_cross_entropy(rebuilt, wanted.clamp(0, 1), reduction=reduction)


_CELLS: dict[str, Cells] = {
    "mse": lambda rebuilt, wanted, reduction: mse_loss(rebuilt, wanted, reduction=reduction),
    "mae": lambda rebuilt, wanted, reduction: l1_loss(rebuilt, wanted, reduction=reduction),
    # It turns at 1 scaled unit.
    "huber": lambda rebuilt, wanted, reduction: huber_loss(rebuilt, wanted, reduction=reduction),
    "bce": _cross_entropy,
}
