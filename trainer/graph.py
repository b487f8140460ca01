"""The exported graph: windows in engineering units in; score, sensor error, reconstruction and code out."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.losses import squares
from trainer.networks.seam import Network, believe
from trainer.preprocess import Preprocess

OUTPUTS = ("score", "sensor_error", "reconstruction", "latent")
ERROR_LIMIT = 20.0  # standard deviations: a wild cell is far out, and still forgotten by an EWMA in time


@dataclass(frozen=True, slots=True)
class Compared:
    """Windows beside what the network makes of them. Rows: those asked for."""

    residual: Tensor  # (batch, rows, sensor) scaled units, 0 where missing; less where the network is less sure
    present: Tensor  # (batch, rows, sensor) bool
    doubt: Tensor | None  # (batch, rows, sensor) see Belief, 0 where missing
    rebuilt: Tensor  # (batch, window, sensor) scaled
    code: Tensor  # (batch, latent)


def compare(preprocess: Preprocess, network: nn.Module, window: Tensor, rows: slice) -> Compared:
    """Holds windows (batch, window, sensor) in engineering units against the network."""
    scaled, present = preprocess(window)
    trusted: Network = network  # type: ignore[assignment]
    belief = believe(trusted, preprocess.shown(scaled))
    # A missing cell has no residual; the network's guess of it is only shown.
    present = present[:, rows]
    residual = preprocess.heed(scaled[:, rows] - belief.rebuilt[:, rows])
    if belief.weight is not None:
        residual = residual * belief.weight[:, rows]
    doubt = None if belief.doubt is None else torch.where(present, belief.doubt[:, rows], 0.0)
    return Compared(torch.where(present, residual, 0.0), present, doubt, belief.rebuilt, belief.code)


def scored_rows(score: str) -> slice:
    """The rows of a window that the graph's score is over."""
    return slice(None) if score == "window" else slice(-1, None)


class Graph(nn.Module):
    """Preprocess -> network -> residual -> error and score.

    error_sd: (sensor,) typical size of the last row's residual on held-out normal rows, scaled units.
    score: `window` takes the mean over the window's present cells, else it is over the last row's; of squared or
    absolute standardised residuals, as `loss` says, and of the network's doubt where it has any. Higher is more
    anomalous. Only what a score needs is computed on the whole window: onnxruntime runs every node, whichever outputs
    are asked for.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        network: nn.Module,
        error_sd: Tensor,
        score: Literal["window", "last_row", "mahalanobis"],
        loss: str,
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.error_sd: Tensor
        self.register_buffer("error_sd", error_sd.to(torch.float32))
        self._rows = scored_rows(score)
        self._squared = squares(loss)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(batch, window, sensor) -> the four OUTPUTS."""
        found = compare(self.preprocess, self.network, window, self._rows)
        standard = found.residual / self.error_sd
        sensor_error = standard[:, -1, :].clamp(-ERROR_LIMIT, ERROR_LIMIT)
        return self._mean(standard, found), sensor_error, self.preprocess.restore(found.rebuilt, window), found.code

    def _mean(self, standard: Tensor, found: Compared) -> Tensor:
        standard = standard * self.preprocess.weight
        size = standard.square() if self._squared else standard.abs()
        if found.doubt is not None:
            size = size + found.doubt
        return size.sum(dim=(1, 2)) / found.present.sum(dim=(1, 2)).clamp(min=1)
