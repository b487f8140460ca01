"""How far vectors lie from what is normal, and which sensors account for it: one quadratic form for all."""

import numpy as np

from detector.core.arrays import Doubles


def mahalanobis(deviations: Doubles, precision: Doubles) -> Doubles:
    """The distances (row,) of deviations (row, column) from a centre, under a precision (column, column).

    >>> mahalanobis(np.array([[3.0, 4.0]]), np.eye(2)).tolist()
    [5.0]
    """
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,ij->i", deviations @ precision, deviations), 0.0)))


def contributions(deviations: Doubles, precision: Doubles) -> Doubles:
    """Signed shares by column, (row, column), absolute values summing to 1: positive where a sensor reads high.

    How much of the distance a change of that sensor alone would explain, (Px)_i^2 / P_ii (reconstruction-based
    contributions, Alcala & Qin 2009); terms of the quadratic form smear over neighbours.

    >>> contributions(np.array([[3.0, -1.0]]), np.eye(2)).tolist()
    [[0.9, -0.1]]
    """
    pull = deviations @ precision
    return shares(pull**2 / np.diag(precision) * np.sign(pull))


def shares(weight: Doubles) -> Doubles:
    """Rows scaled so that absolute values sum to 1; rows of nothing stay 0.

    >>> shares(np.array([[3.0, -1.0], [0.0, 0.0]])).tolist()
    [[0.75, -0.25], [0.0, 0.0]]
    """
    total = np.abs(weight).sum(axis=1, keepdims=True)
    return np.asarray(weight / np.where(total > 0, total, 1.0))
