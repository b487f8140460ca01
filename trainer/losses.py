"""How wrong a rebuilt window is: the losses, each a mean over the cells that are present."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import binary_cross_entropy, huber_loss

from trainer.networks.seam import Lesson, Measure

Cells = Callable[[Tensor, Tensor], Tensor]  # rebuilt, wanted -> how wrong each cell is


def measure(loss: str) -> Measure:
    """The loss by its name in the configuration."""
    cells = _CELLS[loss]

    def mean(rebuilt: Tensor, lesson: Lesson) -> Tensor:
        return lesson.mean(cells(rebuilt, lesson.wanted))

    return mean


def squares(loss: str) -> bool:
    """Whether the score is over squared residuals; of mae it is over absolute ones."""
    return loss != "mae"


def _cross_entropy(rebuilt: Tensor, wanted: Tensor) -> Tensor:
    # Min-max scaling may leave 0..1 where a statistic was taken from part of the rows.
    return binary_cross_entropy(rebuilt, wanted.clamp(0, 1), reduction="none")


_CELLS: dict[str, Cells] = {
    "mse": lambda rebuilt, wanted: (rebuilt - wanted).square(),
    "mae": lambda rebuilt, wanted: (rebuilt - wanted).abs(),
    "huber": lambda rebuilt, wanted: huber_loss(rebuilt, wanted, reduction="none"),  # turns at 1 scaled unit
    "bce": _cross_entropy,
}
