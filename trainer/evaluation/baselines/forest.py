"""Isolation forest over windows (Liu, Ting & Zhou 2008): how few random cuts set a window apart."""

import numpy as np
from sklearn.ensemble import IsolationForest

from detector.core.arrays import Doubles
from trainer.evaluation.baselines.interface import Score, lagged, training_windows


def forest(known: list[Doubles], seed: int) -> Score:
    """Grows 100 trees; the score goes from about 0.3 to 1."""
    fitted = IsolationForest(random_state=seed).fit(training_windows(known))

    def score(rows: Doubles) -> Doubles:
        return np.asarray(-fitted.score_samples(lagged(rows)))

    return score
