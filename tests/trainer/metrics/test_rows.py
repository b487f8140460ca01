"""Figures of detection agree with their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainer.metrics.rows import Counts, area_under_pr, area_under_roc, count


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_area_under_pr_is_the_step_sum(rows: list[tuple[bool, int]]) -> None:
    """Over each score as the threshold, rows of one score together; None where nothing is anomalous."""
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    found = area_under_pr(labels, scores)
    if not labels.any():
        assert found is None
        return
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        alarmed = scores >= threshold
        recall = float(labels[alarmed].sum() / labels.sum())
        area += (recall - before) * float(labels[alarmed].mean())
        before = recall
    assert found == pytest.approx(area)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_area_under_roc_is_the_chance_of_the_right_order(rows: list[tuple[bool, int]]) -> None:
    """Of an anomalous row and a normal one, ties half; None where only one kind of row is there."""
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    found = area_under_roc(labels, scores)
    if labels.all() or not labels.any():
        assert found is None
        return
    lead = scores[labels][:, None] - scores[~labels]
    assert found == pytest.approx(float((lead > 0).mean() + (lead == 0).mean() / 2))


def test_counts_and_their_shares() -> None:
    """F1, FAR and MAR by their definitions, pooled by adding counts."""
    labels, verdicts = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    counts = count(labels, verdicts)
    assert counts == Counts(1, 1, 2, 1)
    assert counts.f1 == pytest.approx(f1_score(labels, verdicts))
    assert counts.false_alarm_rate == pytest.approx(1 / 3)
    assert counts.missed_alarm_rate == pytest.approx(1 / 2)
    assert (counts + counts).precision == counts.precision == 0.5
    assert Counts(0, 0, 0, 0).f1 == 0.0
