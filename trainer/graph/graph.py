"""The exported graph: windows in engineering units in; score, sensor error, reconstruction and code out."""

import torch
from torch import Tensor, nn

from trainer.graph.components import ERROR_LIMIT, Compared, StandardisedComponents
from trainer.graph.preprocess import Preprocess
from trainer.networks.interface import Network, predict
from trainer.networks.losses import squares

OUTPUTS = ("score", "sensor_error", "reconstruction", "latent")
PARTS = "parts"  # the fifth, of a graph whose score is a sum: its components, under the name that bundles have


def compare(preprocess: Preprocess, network: nn.Module, window: Tensor, rows: slice) -> Compared:
    """Compares windows (batch, window, sensor) in engineering units with the network's prediction."""
    scaled, present = preprocess(window)
    shown = preprocess.shown(scaled)
    trusted: Network = network  # type: ignore[assignment]
    prediction = predict(trusted, shown)
    # A missing cell has no residual; a person sees the network's guess of it.
    present = present[:, rows]
    residual = preprocess.apply_deadband(scaled[:, rows] - prediction.reconstruction[:, rows])
    if prediction.weight is not None:
        residual = residual * prediction.weight[:, rows]
    uncertainty = None if prediction.uncertainty is None else torch.where(present, prediction.uncertainty[:, rows], 0.0)
    residual = torch.where(present, residual, 0.0)
    reconstruction = prediction.reconstruction if prediction.displayed is None else prediction.displayed
    return Compared(residual, present, uncertainty, reconstruction, prediction.code, scaled, shown)


def scored_rows(score: str) -> slice:
    """The rows of a window that the graph's score is over."""
    return slice(None) if score == "window" else slice(-1, None)


class Graph(nn.Module):
    """Preprocess -> network -> residual -> error and score.

    error_sd: (sensor,) typical size of the last row's residual on held-out normal rows, scaled units.
    score: `window` takes the mean over the window's present cells, else it is over the last row's; of squared or
    absolute standardised residuals, as `loss` says, and of the network's uncertainty where it has any. Higher is more
    anomalous. components: what the score is a sum of; None: it is not a sum.

    Only what a score needs is computed on the whole window: onnxruntime runs every node, whichever outputs
    are asked for.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        network: nn.Module,
        error_sd: Tensor,
        score: str,
        loss: str,
        components: StandardisedComponents | None = None,
    ) -> None:
        super().__init__()
        self.outputs = OUTPUTS if components is None else (*OUTPUTS, PARTS)
        self.components = components
        self.preprocess = preprocess
        self.network = network
        self.error_sd: Tensor
        self.register_buffer("error_sd", error_sd.to(torch.float32))
        self._rows = scored_rows(score)
        self._squared = squares(loss)

    def forward(self, window: Tensor) -> tuple[Tensor, ...]:
        """(batch, window, sensor) -> the `outputs`."""
        found = compare(self.preprocess, self.network, window, self._rows)
        standard = found.residual / self.error_sd
        sensor_error = standard[:, -1, :].clamp(-ERROR_LIMIT, ERROR_LIMIT)
        outputs = (
            self._mean(standard, found),
            sensor_error,
            self.preprocess.restore(found.reconstruction, window),
            found.code,
        )
        return outputs if self.components is None else (*outputs, self.components(found))

    def _mean(self, standard: Tensor, found: Compared) -> Tensor:
        standard = standard * self.preprocess.weight
        size = standard.square() if self._squared else standard.abs()
        if found.uncertainty is not None:
            size = size + found.uncertainty
        return size.sum(dim=(1, 2)) / found.present.sum(dim=(1, 2)).clamp(min=1)
