"""The recurrent autoencoders, LSTM and GRU: one reads a window row by row into a code, one writes the rows from it.

Malhotra et al., LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection, 2016; GRU after Cho et al., EMNLP 2014.
The decoder is given the code at every row and not the row before it: a fault must not reach it that way.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from trainer.networks.config import NetworkConfig

Cell = Callable[..., nn.LSTM | nn.GRU]


class RecurrentAutoencoder(nn.Module):
    """hidden: widths of the encoder's layers, one upon the other."""

    def __init__(self, config: NetworkConfig, cell: Cell) -> None:
        super().__init__()
        self._window = config.window
        self.reader = _layers(cell, (config.sensors, *config.hidden))
        self.squeeze = nn.Linear(config.hidden[-1], config.latent)
        self.writer = _layers(cell, (config.latent, *config.decoder))
        self.output = nn.Linear(config.decoder[-1], config.sensors)
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        return self.squeeze(self._through(self.reader, scaled)[:, -1])  # type: ignore[no-any-return]

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor)."""
        repeated = code.unsqueeze(1).expand(-1, self._window, -1)
        return self.output(self._through(self.writer, repeated))  # type: ignore[no-any-return]

    def _through(self, layers: nn.ModuleList, rows: Tensor) -> Tensor:
        for layer in layers:
            rows = self.dropout(layer(rows)[0])
        return rows


def _layers(cell: Cell, widths: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(cell(inner, outer, batch_first=True) for inner, outer in pairwise(widths))
