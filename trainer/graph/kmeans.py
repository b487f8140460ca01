"""Typical windows, or codes: the centres of k-means (Lloyd, IEEE Trans. on Information Theory 28, 1982)."""

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

CENTRES = 20  # at most
WINDOWS_PER_CENTRE = 10  # at least: the centre of a few windows is one of them
MAX_WINDOWS = 4000  # evenly spread: enough for so few centres
ROUNDS = 50  # of Lloyd's algorithm, at most


def centres(windows: Tensor, seed: int) -> Tensor:
    """(window, row, sensor) scaled -> (centre, row * sensor); (window, latent) -> (centre, latent).

    As many centres as the windows allow, at most CENTRES. The seed decides where k-means begins.

    >>> two_kinds = torch.cat([torch.zeros(10, 1, 2), torch.ones(10, 1, 2)])
    >>> sorted(centres(two_kinds, seed=0).tolist())
    [[0.0, 0.0], [1.0, 1.0]]
    """
    step = max(len(windows) // MAX_WINDOWS, 1)
    cells = windows[::step].flatten(1).numpy()
    count = max(min(CENTRES, len(cells) // WINDOWS_PER_CENTRE), 1)
    with warnings.catch_warnings():
        # Of windows that are all the same some centres coincide, which does no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=seed).fit(cells)
    return torch.from_numpy(found.cluster_centers_).to(torch.float32)
