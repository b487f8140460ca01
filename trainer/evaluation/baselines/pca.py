"""Principal components: how far a window lies from the subspace that holds 95 % of the train windows' variance."""

import numpy as np
from sklearn.decomposition import PCA

from detector.core.arrays import Doubles
from trainer.evaluation.baselines.interface import Score, lagged, training_windows

VARIANCE = 0.95


def pca(known: list[Doubles], seed: int) -> Score:
    """Fits the subspace; the score is the residual's length."""
    fitted = PCA(VARIANCE, svd_solver="full", random_state=seed).fit(training_windows(known))

    def score(rows: Doubles) -> Doubles:
        windows = lagged(rows)
        return np.asarray(np.linalg.norm(windows - fitted.inverse_transform(fitted.transform(windows)), axis=1))

    return score
