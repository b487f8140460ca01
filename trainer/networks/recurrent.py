"""The recurrent autoencoders, LSTM and GRU: a window is read row by row into a code, and told again from it.

Malhotra et al., LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection, 2016; GRU after Cho et al., EMNLP 2014.
The decoder is given the code at every row and not the row before it: a fault must not be whispered to it.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from trainer.networks.plan import Plan

Cell = Callable[..., nn.LSTM | nn.GRU]


class RecurrentAutoencoder(nn.Module):
    """hidden: widths of the encoder's layers, one upon the other."""

    def __init__(self, plan: Plan, cell: Cell) -> None:
        super().__init__()
        self._window = plan.window
        self.reader = _layers(cell, (plan.sensors, *plan.hidden))
        self.squeeze = nn.Linear(plan.hidden[-1], plan.latent)
        self.teller = _layers(cell, (plan.latent, *plan.decoder))
        self.output = nn.Linear(plan.decoder[-1], plan.sensors)
        self.dropout = nn.Dropout(plan.dropout)

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self._through(self.reader, scaled)[:, -1])  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        repeated = code.unsqueeze(1).expand(-1, self._window, -1)
        return self.output(self._through(self.teller, repeated))  # type: ignore[no-any-return]

    def _through(self, layers: nn.ModuleList, rows: Tensor) -> Tensor:
        for layer in layers:
            rows = self.dropout(layer(rows)[0])
        return rows


def _layers(cell: Cell, widths: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(cell(inner, outer, batch_first=True) for inner, outer in pairwise(widths))
