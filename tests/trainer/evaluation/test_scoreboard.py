"""The figures of a whole evaluation: what is summed, and what counts as an alarm."""

import numpy as np

from trainer.evaluation.judge import MethodScores, judge
from trainer.evaluation.scoreboard import pooled
from trainer.evaluation.series import Series
from trainer.metrics.alarms import alarm_rules

ROWS = 400


def series(name: str, begin: int) -> Series:
    """One event of forty rows; the sensors' values do not matter."""
    labels = np.zeros(ROWS, bool)
    labels[begin : begin + 40] = True
    nothing = np.zeros((ROWS, 1), np.float32)
    return Series(name, None, np.arange(ROWS, dtype=float), nothing, labels, None)  # type: ignore[arg-type]


def test_nab_counts_the_moments_at_which_alarms_are_told() -> None:
    """A long excess outside of the event is one false alarm, and not one a row; ORACLE is the best common multiple."""
    scores = np.zeros(ROWS)
    scores[20:80] = 1.5  # false
    scores[200:230] = 4.0
    result = judge(series("a", 200), MethodScores("ours", scores, alarm_rules(1.0, 0.8, 3.0, 5.0), 10.0))
    assert [alarm.opened for alarm in result.alarms] == [23, 203]
    figures = pooled([result])
    # By hand: the event is rows 200 to 239, and an alarm in row 203 earns sigmoid(-37/40) / sigmoid(-1) = 0.9939 of 1.
    assert figures["NAB"] == 94.19  # 100 (0.9939 - 0.11 + 1) / 2, with one false alarm
    assert figures["NAB ORACLE"] == 99.69  # 100 (0.9939 + 1) / 2: at twice the threshold the false one is not raised
    assert figures["NAB by row"] == -230.0  # 100 (1 - 60 * 0.11 + 1) / 2: sixty false rows, and row 200 earns 1


def test_an_oracle_that_only_loses_never_alarms() -> None:
    """Silence is a threshold too, and scores 0."""
    scores = np.zeros(ROWS)
    scores[20:80] = 100.0
    result = judge(series("a", 200), MethodScores("ours", scores, alarm_rules(1.0, 0.8, 3.0, 5.0), 10.0))
    figures = pooled([result])
    assert figures["NAB ORACLE"] == 0.0
    assert figures["NAB"] is not None
    assert figures["NAB"] < 0
