"""Missing cells from the most similar rows of the history, inside the graph.

Troyanskaya et al., Missing value estimation methods for DNA microarrays, Bioinformatics 17 (2001). Rows are compared by
the sensors that are there. A neighbour weighs what its distance lacks to that of the next row after the
neighbours: so nothing jumps where two rows change places, and onnxruntime gives what torch gives.
"""

import numpy as np
import torch
from torch import Tensor, nn

from detector.core.arrays import Doubles

NEIGHBOURS = 5
MAX_ROWS = 128  # of the history that are kept in the graph: a product with them is paid for every row
MIN_WEIGHT = 1e-6


def typical_rows(rows: Doubles) -> Doubles:
    """Some rows (row, sensor) of the scaled history, evenly spread in time, those without a gap if there are enough.

    >>> typical_rows(np.array([[0.0, 0.0], [1.0, 1.0], [np.nan, 2.0], *([[9.0, 9.0]] * 4)])).tolist()[:3]
    [[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]]
    """
    whole = rows[~np.isnan(rows).any(axis=1)]
    if len(whole) <= NEIGHBOURS:
        whole = np.where(np.isnan(rows), np.nanmean(rows, axis=0), rows)
    chosen = np.linspace(0, len(whole) - 1, min(MAX_ROWS, len(whole))).astype(np.int64)
    kept: Doubles = whole[chosen]
    return np.concatenate([kept] * -(-(NEIGHBOURS + 1) // len(kept)))  # of a handful of rows some are there twice


class Neighbours(nn.Module):
    """rows: (kept, sensor) scaled, at least NEIGHBOURS + 1.

    >>> neighbours = Neighbours(np.array([[n, 10.0 * n] for n in range(7)]))
    >>> hole = torch.tensor([[3.0, 0.0]]), torch.tensor([[True, False]])
    >>> neighbours(*hole).round().tolist()
    [[3.0, 30.0]]
    """

    def __init__(self, rows: Doubles) -> None:
        super().__init__()
        self.rows: Tensor
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.float32))

    def forward(self, scaled: Tensor, present: Tensor) -> Tensor:
        """(row, sensor) scaled values, holes filled somehow, and which were present -> holes filled from neighbours.

        A row of which nothing is present has no neighbours: it stays as it is.
        """
        there = present.to(scaled.dtype)
        known = scaled * there
        # Squared distances over the sensors that are there: (row, kept).
        apart = known.square().sum(dim=1, keepdim=True) - 2 * known @ self.rows.T + there @ self.rows.square().T
        nearest, which = torch.topk(apart.clamp(min=0.0), NEIGHBOURS + 1, dim=1, largest=False)
        weight = nearest[:, -1:] - nearest[:, :-1] + MIN_WEIGHT
        weight = weight / weight.sum(dim=1, keepdim=True)
        filled = (self.rows[which[:, :-1]] * weight.unsqueeze(2)).sum(dim=1)
        return torch.where(present | (there.sum(dim=1, keepdim=True) == 0), scaled, filled)
