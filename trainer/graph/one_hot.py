"""Categories inside the graph: from the value of a state to the number of its category, and back."""

import math

import torch
from torch import Tensor, nn


class Categories(nn.Module):
    """categories: of each sensor, empty for a quantity. An unknown value gets the number after the last.

    >>> categories = Categories(((), (1.0, 2.0, 5.0)))  # a quantity, and a state with three known values
    >>> numbers = categories(torch.tensor([[[20.5, 5.0], [21.5, 3.0]]]))
    >>> numbers[..., 1].tolist()
    [[2.0, 3.0]]
    >>> categories.restore(torch.tensor([[[20.5, 2.0]]])).tolist()
    [[[20.5, 5.0]]]
    """

    def __init__(self, categories: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        most = max(map(len, categories))
        padded = [[*known, *[math.nan] * (most - len(known))] for known in categories]
        self.known: Tensor
        self.numbers: Tensor
        self.unknown: Tensor
        self.categorical: Tensor
        self.register_buffer("known", torch.tensor(padded, dtype=torch.float32))  # (sensor, most)
        self.register_buffer("numbers", torch.arange(most, dtype=torch.float32))
        self.register_buffer("unknown", torch.tensor([float(len(known)) for known in categories]))
        self.register_buffer("categorical", torch.tensor([bool(known) for known in categories]))

    def forward(self, window: Tensor) -> Tensor:
        """(batch, window, sensor) values to numbers of categories; of quantities it means nothing."""
        same = (window.unsqueeze(-1) == self.known).to(window.dtype)
        found = same.sum(dim=-1)
        return (same * self.numbers).sum(dim=-1) + (1.0 - found) * self.unknown

    def restore(self, values: Tensor) -> Tensor:
        """Numbers of categories (batch, window, sensor) to their values; quantities stay."""
        same = (values.unsqueeze(-1).round() == self.numbers) & self.categorical.unsqueeze(-1)
        known = torch.where(torch.isnan(self.known), 0.0, self.known)
        return torch.where(self.categorical, (same.to(values.dtype) * known).sum(dim=-1), values)
