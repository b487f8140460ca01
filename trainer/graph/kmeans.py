"""Typical windows, or codes: the centres that k-means finds (Lloyd, IEEE Trans. on Information Theory 28, 1982)."""

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

CENTRES = 20  # at most; ...
WINDOWS_PER_CENTRE = 10  # ... a centre of a few windows is one of them
WINDOWS = 4000  # looked at
ROUNDS = 50


def centres(windows: Tensor, seed: int) -> Tensor:
    """(window, row, sensor) scaled -> (centre, row * sensor); (window, latent) -> (centre, latent)."""
    step = max(len(windows) // WINDOWS, 1)
    cells = windows[::step].flatten(1).numpy()
    count = max(min(CENTRES, len(cells) // WINDOWS_PER_CENTRE), 1)
    with warnings.catch_warnings():
        # Of windows that are all the same some centres coincide, which does no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=seed).fit(cells)
    return torch.from_numpy(found.cluster_centers_).to(torch.float32)
