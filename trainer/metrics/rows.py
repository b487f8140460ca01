"""Figures of detection against labels: per row, pooled by summing counts. Labels are read here and nowhere else."""

from dataclasses import dataclass

from sklearn.metrics import average_precision_score, roc_auc_score

from detector.core.arrays import Bools, Doubles


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by truth and verdict."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.true_negative + other.true_negative,
            self.false_negative + other.false_negative,
        )

    @property
    def precision(self) -> float:
        """Share of alarmed rows that are anomalous."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of anomalous rows that are alarmed."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def false_alarm_rate(self) -> float:
        """Share of normal rows that are alarmed (FAR)."""
        return _share(self.false_positive, self.false_positive + self.true_negative)

    @property
    def missed_alarm_rate(self) -> float:
        """Share of anomalous rows that are not (MAR)."""
        return _share(self.false_negative, self.false_negative + self.true_positive)


def count(labels: Bools, verdicts: Bools) -> Counts:
    """Counts of rows. labels, verdicts: (row,), True where a row is anomalous, and where it is alarmed.

    >>> import numpy as np
    >>> counts = count(np.array([False, False, True, True]), np.array([False, True, True, True]))
    >>> counts.precision, counts.recall, counts.false_alarm_rate
    (0.6666666666666666, 1.0, 0.5)
    """
    return Counts(
        int((labels & verdicts).sum()),
        int((~labels & verdicts).sum()),
        int((~labels & ~verdicts).sum()),
        int((labels & ~verdicts).sum()),
    )


def area_under_pr(labels: Bools, scores: Doubles) -> float | None:
    """Average precision: the area under the precision-recall curve as a step sum; None without an anomalous row.

    labels: (row,); scores: (row,), higher is more anomalous.

    >>> import numpy as np
    >>> area_under_pr(np.array([False, False, True, True]), np.array([0.1, 0.8, 0.7, 0.9]))
    0.8333333333333333
    """
    if not labels.any():
        return None
    return float(average_precision_score(labels, scores))


def area_under_roc(labels: Bools, scores: Doubles) -> float | None:
    """Chance that an anomalous row scores higher than a normal one, ties half; None without rows of both kinds.

    labels: (row,); scores: (row,), higher is more anomalous.

    >>> import numpy as np
    >>> area_under_roc(np.array([False, False, True, True]), np.array([0.1, 0.8, 0.7, 0.9]))
    0.75
    """
    if labels.all() or not labels.any():
        return None
    return float(roc_auc_score(labels, scores))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
