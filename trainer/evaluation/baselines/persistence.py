"""Persistence: the next row is expected to repeat the last one, and the score is how far it does not."""

import numpy as np

from detector.core.arrays import Doubles
from trainer.evaluation.baselines.interface import Score

MIN_SD = 1e-3


def persistence(known: list[Doubles], seed: int) -> Score:
    """Learns the usual size of each sensor's steps; the score is the root mean square over sensors."""
    del seed
    steps = np.concatenate([np.diff(rows, axis=0) for rows in known])
    size = np.maximum(np.sqrt((steps**2).mean(axis=0)), MIN_SD)

    def score(rows: Doubles) -> Doubles:
        steps = np.diff(rows, axis=0, prepend=rows[:1]) / size
        return np.asarray(np.sqrt((steps**2).mean(axis=1)))

    return score
