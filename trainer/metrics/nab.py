"""The score of the Numenta Anomaly Benchmark, standard profile (Lavin & Ahmad, ICMLA 2015, arXiv:1510.03336).

A window (a run of anomalous rows) earns up to 1 by its earliest alarmed row, the earlier the more, and costs 1 when it
is missed; every alarmed row outside costs up to 0.11, little just behind a window. The sum is scaled so that silence is
0 and a perfect detector 100; it can be negative. The published scoreboard sets each detector's one threshold where it
is best on the labels: that is the ORACLE here, and no result.

The caller decides what counts as alarmed rows: for a watch the rows in which an alarm opened, one an alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints
from trainer.metrics.events import spans

FALSE_ALARM = 0.11  # of the standard profile; a hit and a miss weigh 1
FAR_BEHIND = 3.0  # window widths: from there on an alarm is wholly false


@dataclass(frozen=True, slots=True)
class Worth:
    """What an alarm in each row of a series would be worth."""

    value: Doubles  # (row,) inside windows what it earns, outside what it costs (negative)
    window: Ints  # (row,) number of the row's window, -1 outside
    windows: int


def worth(labels: Bools) -> Worth:
    """From labels (row,).

    >>> labels = np.zeros(40, bool)
    >>> labels[10:20] = True
    >>> known = worth(labels)
    >>> [round(float(known.value[row]), 2) for row in (0, 10, 19, 20, 39)]
    [-0.11, 1.0, 0.25, -0.03, -0.11]
    """
    rows = np.arange(len(labels))
    value, window = np.full(len(labels), -FALSE_ALARM), np.full(len(labels), -1)
    runs = spans(labels)
    best = _sigmoid(np.array(-1.0))
    for number, (begin, end) in enumerate(runs):
        width = end - begin + 1
        inside = slice(begin, end + 1)
        value[inside] = _sigmoid(-(end - rows[inside] + 1) / width) / best
        window[inside] = number
        behind = slice(end + 1, runs[number + 1][0] if number + 1 < len(runs) else None)
        past = (rows[behind] - end) / max(width - 1, 1)
        value[behind] = FALSE_ALARM * np.where(past < FAR_BEHIND, _sigmoid(np.minimum(past, FAR_BEHIND)), -1.0)
    return Worth(value, window, len(runs))


def nab_score(series: Sequence[tuple[Worth, Bools]]) -> float | None:
    """The score of many series by their alarmed rows (row,) together; None without a window.

    >>> labels, first, silent = np.arange(40) // 10 == 1, np.arange(40) == 10, np.zeros(40, bool)
    >>> nab_score([(worth(labels), first)]), nab_score([(worth(labels), silent)])
    (100.0, 0.0)
    """
    windows = sum(each.windows for each, _ in series)
    if not windows:
        return None
    earned = sum(_earned(each, alarmed) for each, alarmed in series)
    return 100.0 * (earned + windows) / (2.0 * windows)


def _earned(known: Worth, alarmed: Bools) -> float:
    """A series' windows by the best of their alarmed rows, or -1 each; and what the alarmed rows outside cost."""
    best = np.full(known.windows, -1.0)
    inside = alarmed & (known.window >= 0)
    np.maximum.at(best, known.window[inside], known.value[inside])
    return float(best.sum() + known.value[alarmed & (known.window < 0)].sum())


def _sigmoid(position: Doubles) -> Doubles:
    """-1 is a window's first row and nearly 1; 0 its end and 0; beyond it falls to -1."""
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)
