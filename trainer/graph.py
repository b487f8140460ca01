"""The exported graph: windows in engineering units in; score, sensor error, reconstruction and code out."""

from typing import Literal

import torch
from torch import Tensor, nn

from trainer.networks import Network
from trainer.preprocess import Preprocess

OUTPUTS = ("score", "sensor_error", "reconstruction", "latent")
ERROR_LIMIT = 20.0  # standard deviations: a wild cell is far out, and still forgotten by an EWMA in time


class Graph(nn.Module):
    """Preprocess -> network -> residual -> error and score.

    error_sd: (sensor,) typical size of the last row's residual on held-out normal rows, scaled units.
    score: `window` takes the mean over the window's present cells, else it is over the last row's; of squared or
    absolute standardised residuals, as `loss` says. Higher is more anomalous. Only what a score needs is computed on
    the whole window: onnxruntime runs every node, whichever outputs are asked for.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        network: nn.Module,
        error_sd: Tensor,
        score: Literal["window", "last_row", "mahalanobis"],
        loss: Literal["mse", "mae"],
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.error_sd: Tensor
        self.register_buffer("error_sd", error_sd.to(torch.float32))
        self._rows = slice(None) if score == "window" else slice(-1, None)
        self._squared = loss == "mse"

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(batch, window, sensor) -> the four OUTPUTS."""
        scaled, present = self.preprocess(window)
        network: Network = self.network  # type: ignore[assignment]
        code = network.encode(self.preprocess.shown(scaled))
        rebuilt = network.decode(code)
        # A missing cell has no residual; the network's guess of it is only shown.
        present = present[:, self._rows]
        residual = (scaled[:, self._rows] - rebuilt[:, self._rows]) / self.error_sd
        standard = torch.where(present, residual, 0.0)
        sensor_error = standard[:, -1, :].clamp(-ERROR_LIMIT, ERROR_LIMIT)
        return self._mean(standard, present), sensor_error, self.preprocess.restore(rebuilt), code

    def _mean(self, standard: Tensor, present: Tensor) -> Tensor:
        size = standard.square() if self._squared else standard.abs()
        count = present.sum(dim=(1, 2)).clamp(min=1)
        return size.sum(dim=(1, 2)) / count
