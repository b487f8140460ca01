"""The figures of a whole evaluation: what is summed, and what counts as an alarm."""

import numpy as np
import pytest

from trainer.evaluation.judge import MethodScores, judge
from trainer.evaluation.scoreboard import pooled
from trainer.evaluation.series import Series
from trainer.metrics.alarms import alarm_rules
from trainer.metrics.nab import nab_score, worth

ROWS = 400


def series(name: str, begin: int) -> Series:
    """No sensors to speak of: one event of forty rows."""
    labels = np.zeros(ROWS, bool)
    labels[begin : begin + 40] = True
    nothing = np.zeros((ROWS, 1), np.float32)
    return Series(name, None, np.arange(ROWS, dtype=float), nothing, labels, None)  # type: ignore[arg-type]


def test_nab_counts_the_moments_at_which_alarms_are_told() -> None:
    """A long excess outside of the event is one false alarm, and not one a row; ORACLE is the best common multiple."""
    scores = np.zeros(ROWS)
    scores[20:80] = 1.5  # false
    scores[200:230] = 4.0
    known = series("a", 200)
    judged = judge(known, MethodScores("ours", scores, alarm_rules(1.0, 0.8, 3.0, 5.0), 10.0))
    assert known.labels is not None
    told = np.zeros(ROWS, bool)
    told[[alarm.opened for alarm in judged.alarms]] = True
    assert told.sum() == 2
    figures = pooled([judged])
    assert figures["NAB"] == pytest.approx(nab_score([(worth(known.labels), told)]), abs=0.01)
    told[:200] = False  # at twice the threshold the false one is not raised
    assert figures["NAB ORACLE"] == pytest.approx(nab_score([(worth(known.labels), told)]), abs=0.01)
    assert figures["NAB by row"] == pytest.approx(nab_score([(worth(known.labels), scores > 1.0)]), abs=0.01)


def test_an_oracle_that_only_loses_never_alarms() -> None:
    """Silence is a threshold too, and scores 0."""
    scores = np.zeros(ROWS)
    scores[20:80] = 100.0
    judged = judge(series("a", 200), MethodScores("ours", scores, alarm_rules(1.0, 0.8, 3.0, 5.0), 10.0))
    figures = pooled([judged])
    assert figures["NAB ORACLE"] == 0.0
    assert figures["NAB"] is not None
    assert figures["NAB"] < 0
