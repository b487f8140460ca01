"""The score of the Numenta Anomaly Benchmark, standard profile (Lavin & Ahmad, ICMLA 2015, arXiv:1510.03336).

A window (a run of anomalous rows) earns up to 1 by its earliest alarmed row, the earlier the more, and costs 1 when it
is missed; every alarmed row outside costs up to 0.11, little just behind a window. The sum is scaled so that silence is
0 and a perfect detector 100; it can be negative. The published scoreboard sets each detector's one threshold where it
is best on the labels: that is the ORACLE here, and no result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.events import spans

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FALSE_ALARM = 0.11  # of the standard profile; a hit and a miss weigh 1
FAR_BEHIND = 3.0  # window widths: from there on an alarm is wholly false


@dataclass(frozen=True, slots=True)
class Worth:
    """What an alarm in each row of a series would be worth."""

    value: Doubles  # (row,) inside windows what it earns, outside what it costs (negative)
    window: Ints  # (row,) number of the row's window, -1 outside
    windows: int


def worth(labels: Bools) -> Worth:
    """From (row,) labels."""
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


def nab_score(series: Sequence[tuple[Worth, Doubles]], threshold: float = 1.0) -> float | None:
    """The score of many series at one threshold of their scores (row,); None without a window."""
    found = _totals(series)
    if found is None:
        return None
    levels, totals = found
    return float(totals[np.searchsorted(-levels, -threshold, side="left")])  # rows above it, not at it


def nab_oracle(series: Sequence[tuple[Worth, Doubles]]) -> float | None:
    """The best score that any one threshold gives: chosen on the labels, so never a result."""
    found = _totals(series)
    return None if found is None else float(found[1].max())


def _totals(series: Sequence[tuple[Worth, Doubles]]) -> tuple[Doubles, Doubles] | None:
    """Distinct scores, falling, and the scaled total of alarming 0, 1, 2, ... of these levels (one more entry)."""
    windows = sum(each.windows for each, _ in series)
    if not windows:
        return None
    scores = np.concatenate([given for _, given in series])
    before = np.cumsum([0, *(each.windows for each, _ in series)])
    window = np.concatenate(
        [np.where(w.window >= 0, w.window + n, -1) for (w, _), n in zip(series, before[:-1], strict=True)]
    )
    value = np.concatenate([each.value for each, _ in series])
    order = np.argsort(-scores, kind="stable")
    value, window = value[order], window[order]
    gain = value.copy()
    together = np.argsort(window, kind="stable")  # by window, and within one by falling score
    for places in np.split(together, np.searchsorted(window[together], np.arange(windows)))[1:]:
        gain[places] = np.diff(np.maximum.accumulate(value[places]), prepend=-1.0)
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]  # rows of one score stand or fall together
    raw = np.r_[0.0, np.cumsum(gain)[last]] - windows
    return scores[order][last], 100.0 * (raw + windows) / (2.0 * windows)


def _sigmoid(position: Doubles) -> Doubles:
    """-1 is a window's first row and nearly 1; 0 its end and 0; beyond it falls to -1."""
    return np.asarray(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)
