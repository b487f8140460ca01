"""k-means: how far a window lies from the nearest of 20 centres of train windows."""

import numpy as np
from sklearn.cluster import KMeans

from detector.core.arrays import Doubles
from trainer.evaluation.baselines.interface import Score, lagged, training_windows

CENTRES = 20


def kmeans(known: list[Doubles], seed: int) -> Score:
    """Fits the centres; the score is the distance to the nearest."""
    windows = training_windows(known)
    fitted = KMeans(min(CENTRES, len(windows)), n_init=3, random_state=seed).fit(windows)

    def score(rows: Doubles) -> Doubles:
        return np.asarray(fitted.transform(lagged(rows)).min(axis=1))

    return score
