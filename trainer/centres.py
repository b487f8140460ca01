"""Typical windows: the centres that k-means finds (Lloyd, IEEE Transactions on Information Theory 28, 1982)."""

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

CENTRES = 20  # at most; ...
WINDOWS_PER_CENTRE = 10  # ... a centre of a few windows is one of them
WINDOWS = 4000  # looked at
ROUNDS = 50


def centres(windows: Tensor, seed: int) -> Tensor:
    """(window, row, sensor) scaled -> (centre, row * sensor)."""
    step = max(len(windows) // WINDOWS, 1)
    cells = windows[::step].flatten(1).numpy()
    count = max(min(CENTRES, len(cells) // WINDOWS_PER_CENTRE), 1)
    # One thread: sums would depend on their number, and series are worked on side by side.
    with threadpool_limits(1):
        found = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=seed).fit(cells)
    return torch.from_numpy(found.cluster_centers_).to(torch.float32)
