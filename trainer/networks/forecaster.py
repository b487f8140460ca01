"""The forecaster: a window's last row from the rows before it. It reconstructs nothing; any family can have it beside.

What follows from its own past is expected, whatever the autoencoder reconstructs: its residual is a second opinion.
"""

from torch import Tensor, nn

from trainer.networks.config import NetworkConfig
from trainer.networks.dense import tower


class Forecaster(nn.Module):
    """hidden: widths from the rows towards the forecast."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = ((config.window - 1) * config.sensors, *config.hidden)
        self.before = nn.Sequential(*tower(widths, config.dropout))
        self.last = nn.Linear(widths[-1], config.sensors)

    def encode(self, rows: Tensor) -> Tensor:
        """(batch, window - 1, sensor) -> (batch, hidden)."""
        return self.before(rows.flatten(1))  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, hidden) -> (batch, 1, sensor), the last row."""
        return self.last(code).unsqueeze(1)  # type: ignore[no-any-return]
