"""How far something is from the nearest of some points, as a torch module: whole windows, or their codes.

Of a code either the points are codes of windows that the network was fitted on, and the distance is the mean over the
k nearest (Ramaswamy, Rastogi & Shim, Efficient algorithms for mining outliers from large data sets, SIGMOD 2000, take
the k-th; Angiulli & Pizzuti, Fast outlier detection in high dimensional spaces, PKDD 2002, the sum, which one stray
neighbour moves less). Or they are the centres that k-means finds among these codes.
"""

import numpy as np
import torch
from torch import Tensor, nn

from trainer.graph.kmeans import centres
from trainer.replay.splits import thinned

NEIGHBOURS = 5
MAX_CODES = 256  # that are kept in the graph: a product with them is paid for every window
# Of the spread of the widest dimension: the noise of a unit that is hardly active would become distance.
MIN_SPREAD = 0.05


class Nearest(nn.Module):
    """The distance to the nearest points, higher is more anomalous.

    points: (point, column); count: of nearest points that the distance is the mean over.
    """

    def __init__(self, points: Tensor, count: int = 1) -> None:
        super().__init__()
        self.points: Tensor
        self.register_buffer("points", points)
        self._count = min(count, len(points))

    def forward(self, cells: Tensor) -> Tensor:
        """(batch, column) -> (batch, 1): root mean square over the columns, in their units."""
        squares = cells.square().sum(dim=1, keepdim=True) - 2 * cells @ self.points.T
        squares = squares + self.points.square().sum(dim=1)
        which = torch.topk(squares, self._count, dim=1, largest=False).indices
        # The product is fast, but of two that are close nothing but rounding is left in it: it only tells which.
        apart = cells.unsqueeze(1) - self.points[which]  # (batch, nearest, column)
        return apart.square().mean(dim=2).sqrt().mean(dim=1, keepdim=True)


class NearestCode(nn.Module):
    """The same of codes, in units of their spread on the windows that the network was fitted on.

    A network is free in how large it makes its codes, and so are the networks of the folds: only standardised ones can
    be held against each other. shift, spread: (latent,).
    """

    def __init__(self, shift: Tensor, spread: Tensor, nearest: Nearest) -> None:
        super().__init__()
        self.shift: Tensor
        self.spread: Tensor
        self.register_buffer("shift", shift)
        self.register_buffer("spread", spread)
        self.nearest = nearest

    def forward(self, code: Tensor) -> Tensor:
        """(batch, latent) -> (batch, 1)."""
        distance: Tensor = self.nearest((code - self.shift) / self.spread)
        return distance


def code_neighbours(codes: Tensor) -> NearestCode:
    """The distance from the nearest of the codes (window, latent) of fitted windows, evenly thinned."""
    shift, spread = _spread(codes)
    kept = codes[torch.from_numpy(thinned(np.arange(len(codes)), MAX_CODES))]
    return NearestCode(shift, spread, Nearest((kept - shift) / spread, NEIGHBOURS))


def code_centres(codes: Tensor, seed: int) -> NearestCode:
    """The distance from the nearest centre of the codes (window, latent) of fitted windows."""
    shift, spread = _spread(codes)
    return NearestCode(shift, spread, Nearest(centres((codes - shift) / spread, seed)))


def _spread(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, (latent,) each; of codes that are all the same 1."""
    spread = codes.std(dim=0, correction=0)
    least = MIN_SPREAD * float(spread.max())
    return codes.mean(dim=0), spread.clamp(min=least) if least > 0 else torch.ones_like(spread)
