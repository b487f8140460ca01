"""The code beside the data: both in a plane, the code's correlations, and how well each falls into clusters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from detector.core.arrays import Doubles, Ints

CENTRES = (2, 3, 4, 5, 6)
STARTS = 10
MAX_POINTS = 1000  # of a silhouette, which compares all pairs
SEED = 0


@dataclass(frozen=True, slots=True)
class Plane:
    """Points along the two directions in which they spread most."""

    points: Doubles  # (point, 2)
    shares: tuple[float, float]  # of the variance that each direction holds


@dataclass(frozen=True, slots=True)
class Clustering:
    """k-means with a number of centres, the best of several starts."""

    space: str  # "code" or "data"
    centres: int
    silhouette: float  # -1 to 1: how much nearer points are to their own cluster than to the next
    sizes: tuple[int, ...]  # largest first
    members: Ints  # (point,) number of its cluster


def plane(points: Doubles) -> Plane:
    """Principal components of (point, feature)."""
    count = min(2, *points.shape)
    fitted = PCA(count, svd_solver="full").fit(points)
    missing = 2 - count
    shares = [*np.nan_to_num(fitted.explained_variance_ratio_).tolist(), 0.0, 0.0]
    return Plane(np.pad(fitted.transform(points), ((0, 0), (0, missing))), (shares[0], shares[1]))


def correlations(codes: Doubles) -> Doubles:
    """(latent, latent); a feature that never moves correlates with none."""
    centred = codes - codes.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(size > 0, size, 1.0)
    return np.asarray(scaled.T @ scaled)


def clusterings(spaces: Mapping[str, Doubles]) -> list[Clustering]:
    """Every number of centres in every space of (point, feature)."""
    found: list[Clustering] = []
    for space, points in spaces.items():
        distinct = len(np.unique(points.round(9), axis=0))
        found += [_clustering(space, points, centres) for centres in CENTRES if centres < distinct]
    return found


def _clustering(space: str, points: Doubles, centres: int) -> Clustering:
    members = KMeans(centres, n_init=STARTS, random_state=SEED).fit_predict(points)
    sizes = sorted(np.bincount(members, minlength=centres).tolist(), reverse=True)
    step = -(-len(points) // MAX_POINTS)
    kinds = len(np.unique(members[::step]))
    apart = float(silhouette_score(points[::step], members[::step])) if 1 < kinds < len(points[::step]) else 0.0
    return Clustering(space, centres, apart, tuple(sizes), members.astype(np.int64))
