"""VUS-PR: the volume under the precision-recall surface, for events whose edges nobody knows to the row.

Paparrizos et al., Volume Under the Surface, PVLDB 15(11), 2022, as its authors compute it: an alarm a little beside an
event counts a little, an event that is not found at all costs more than rows of it, and no threshold is chosen. For
every buffer length up to `buffer` the labels get shoulders that fall off like a root, precision and recall are taken
against them, recall times the share of events that are hit at all; the areas under these curves are averaged.
"""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints
from trainer.metrics.events import spans

BUFFER = 100  # rows
THRESHOLDS = 250  # evenly spaced among the sorted scores


@dataclass(frozen=True, slots=True)
class _Sweep:
    """A series' rows by the threshold, from high to low, at which each is first alarmed."""

    thresholds: Doubles  # (threshold,) falling
    first: Ints  # (row,)
    rows: Ints  # (threshold,) alarmed
    inside: Ints  # (threshold,) alarmed and anomalous


def volume_under_pr(labels: Bools, scores: Doubles, buffer: int = BUFFER) -> float | None:
    """VUS-PR of scores (row,), higher is more anomalous; None without an anomalous row. From 0 to 1.

    >>> labels = np.zeros(400, bool)
    >>> labels[200:220] = True
    >>> late = np.roll(labels, 10).astype(float)  # half of the event is missed
    >>> round(volume_under_pr(labels, labels.astype(float)), 2), round(volume_under_pr(labels, late), 2)
    (1.0, 0.73)
    """
    if not labels.any():
        return None
    sweep = _sweep(labels, scores)
    begins, ends = np.array(spans(labels)).T
    padded = np.r_[scores, -np.inf]
    areas = []
    for length in range(buffer + 1):
        near, weights = _shoulders(labels, begins, ends, length)
        beside = _reached(sweep, sweep.first[near], weights)
        hit = _hit_share(sweep, padded, *_widened(len(labels), begins, ends, length // 2))
        found = sweep.inside + beside
        recall = np.minimum(found / (labels.sum() + beside / 2), 1.0) * hit
        areas.append(np.sum(np.diff(recall, prepend=0.0) * found / sweep.rows))
    return float(np.mean(areas))


def _sweep(labels: Bools, scores: Doubles) -> _Sweep:
    falling = -np.sort(-scores)
    thresholds = falling[np.linspace(0, len(scores) - 1, THRESHOLDS).astype(np.int64)]
    first = _first(thresholds, scores)
    counts = (np.cumsum(np.bincount(which, minlength=THRESHOLDS)) for which in (first, first[labels]))
    return _Sweep(thresholds, first, *counts)


def _first(thresholds: Doubles, scores: Doubles) -> Ints:
    """The first of the falling thresholds that a score reaches."""
    return np.asarray(np.searchsorted(-thresholds, -scores, side="left"), np.int64)


def _reached(sweep: _Sweep, first: Ints, weights: Doubles | None = None) -> Doubles:
    """Weights summed up to each threshold, (threshold,)."""
    return np.cumsum(np.bincount(first, weights, minlength=len(sweep.thresholds)), dtype=np.float64)


def _shoulders(labels: Bools, begins: Ints, ends: Ints, length: int) -> tuple[Ints, Doubles]:
    """The rows beside events, and what each counts; where shoulders meet they add up, to 1 at most."""
    away = np.arange(1, length // 2 + 1)
    rows = np.concatenate([(begins[:, None] - away).ravel(), (ends[:, None] + away).ravel()])
    weights = np.tile(np.sqrt(1 - away / max(length, 1)), 2 * len(begins))
    kept = (rows >= 0) & (rows < len(labels))
    kept[kept] = ~labels[rows[kept]]
    near, inverse = np.unique(rows[kept], return_inverse=True)
    return near, np.minimum(np.bincount(inverse, weights[kept], minlength=len(near)), 1.0)


def _widened(rows: int, begins: Ints, ends: Ints, by: int) -> tuple[Ints, Ints]:
    """Events widened by this many rows on either side; those that then touch become one."""
    apart = ends[:-1] + by < begins[1:] - by
    starts, stops = begins[np.r_[True, apart]] - by, ends[np.r_[apart, True]] + by
    return np.maximum(starts, 0), np.minimum(stops, rows - 1)


def _hit_share(sweep: _Sweep, padded: Doubles, begins: Ints, ends: Ints) -> Doubles:
    """Share of events with an alarmed row, (threshold,). padded: the scores and one more."""
    peaks = np.maximum.reduceat(padded, np.stack([begins, ends + 1], axis=1).ravel())[::2]
    return _reached(sweep, _first(sweep.thresholds, peaks)) / len(begins)
