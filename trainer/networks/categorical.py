"""Any network with categorical sensors: inside it a sensor that takes one of K values is K + 1 columns of 0 and 1.

The last column means "none of them": a category that the history did not name, or a missing cell. Outside, in the
graph, such a sensor is one column like any other, the number of its category; its residual is 1 less the network's
share of the category that was observed. A network is fitted on the columns, and wrapped when it is done.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from trainer.networks.interface import Network, Prediction, predict


class OneHotColumns(nn.Module):
    """From sensors to columns and back. counts: (sensor,) number of categories, 0: a plain sensor."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        super().__init__()
        self._plain = [sensor for sensor, count in enumerate(counts) if not count]
        self._coded = [sensor for sensor, count in enumerate(counts) if count]
        self._widths = [counts[sensor] + 1 for sensor in self._coded]
        self.categorical: Tensor
        self.register_buffer("categorical", torch.tensor([count > 0 for count in counts]))
        order = [*self._plain, *self._coded]
        self.owner: Tensor  # (column,)
        owners = [*self._plain, *(s for s, width in zip(self._coded, self._widths, strict=True) for _ in range(width))]
        self.register_buffer("owner", torch.tensor(owners))
        self._back = [order.index(sensor) for sensor in range(len(counts))]

    def expand(self, sensors: Tensor) -> Tensor:
        """(..., sensor) numbers to (..., column)."""
        return torch.cat([sensors[..., self._plain], *self._shares(sensors)], dim=-1)

    def repeat(self, sensors: Tensor) -> Tensor:
        """(..., sensor) of any kind to (..., column), the same for all columns of a sensor."""
        wide = [
            sensors[..., s : s + 1].expand(*sensors.shape[:-1], width)
            for s, width in zip(self._coded, self._widths, strict=True)
        ]
        return torch.cat([sensors[..., self._plain], *wide], dim=-1)

    def observed(self, columns: Tensor, sensors: Tensor) -> Tensor:
        """(..., column) to (..., sensor): of a categorical sensor what stands at its category in `sensors`."""
        shares = self._shares(sensors)
        picked = [
            (block * share).sum(-1, keepdim=True) for block, share in zip(self._blocks(columns), shares, strict=True)
        ]
        return self._together(columns, picked)

    def likeliest(self, columns: Tensor) -> Tensor:
        """(..., column) to (..., sensor): of a categorical sensor the number of the category with the largest share."""
        best = [block[..., :-1].argmax(-1, keepdim=True).to(columns.dtype) for block in self._blocks(columns)]
        return self._together(columns, best)

    def _shares(self, sensors: Tensor) -> list[Tensor]:
        return [
            (sensors[..., s : s + 1].round() == torch.arange(width)).to(sensors.dtype)
            for s, width in zip(self._coded, self._widths, strict=True)
        ]

    def _blocks(self, columns: Tensor) -> list[Tensor]:
        return list(torch.split(columns[..., len(self._plain) :], self._widths, dim=-1))

    def _together(self, columns: Tensor, coded: list[Tensor]) -> Tensor:
        return torch.cat([columns[..., : len(self._plain)], *coded], dim=-1)[..., self._back]


class CategoricalNetwork(nn.Module):
    """A network fitted on columns, as the graph needs it: on sensors."""

    def __init__(self, inner: nn.Module, columns: OneHotColumns) -> None:
        super().__init__()
        self.inner, self.columns = inner, columns

    def encode(self, scaled: Tensor) -> Tensor:
        """(batch, window, sensor) -> (batch, latent)."""
        network: Network = self.inner  # type: ignore[assignment]
        return network.encode(self.columns.expand(scaled))

    def decode(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, window, sensor): of a categorical sensor the likeliest category."""
        network: Network = self.inner  # type: ignore[assignment]
        return self.columns.likeliest(network.decode(code))

    def predict(self, shown: Tensor) -> Prediction:
        """The prediction for windows; observed less reconstructed is 1 less the share of the observed category."""
        network: Network = self.inner  # type: ignore[assignment]
        columns = self.columns
        prediction = predict(network, columns.expand(shown))
        share = columns.observed(prediction.reconstruction, shown)
        return replace(
            prediction,
            reconstruction=torch.where(columns.categorical, shown - (1.0 - share), share),
            weight=None if prediction.weight is None else columns.observed(prediction.weight, shown),
            uncertainty=None if prediction.uncertainty is None else columns.observed(prediction.uncertainty, shown),
            displayed=columns.likeliest(prediction.reconstruction),
        )
