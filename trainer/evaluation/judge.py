"""A method's scores held against a series' labels. Labels are read here, and shown to no method."""

from dataclasses import dataclass, replace

import numpy as np

from detector.core.alarms.incidents import Rules
from detector.core.arrays import Bools, Doubles
from trainer.evaluation.series import Series
from trainer.metrics.alarms import DAY_S, Alarm, gaps, simulate_alarms
from trainer.metrics.events import EventCounts, match
from trainer.metrics.rows import Counts, area_under_pr, area_under_roc, count
from trainer.metrics.vus import volume_under_pr

FACTORS = tuple(2.0 ** (step / 2) for step in range(-6, 11) if step)  # of the threshold, for what says ORACLE
OLDEST_S = 1e8  # a time before 1973 is a row number, not a time of day


@dataclass(frozen=True, slots=True)
class MethodScores:
    """A method's scores of a series' test rows, and what raises an alarm."""

    method: str
    scores: Doubles  # (test row,) higher is more anomalous, NaN where there is none
    rules: Rules
    max_gap_s: float  # a longer gap between rows ends what is not yet an alarm

    @property
    def carried(self) -> Doubles:
        """The scores (test row,); a row without one keeps the score before it, and 0 stands before the first."""
        known = np.maximum.accumulate(np.where(np.isnan(self.scores), -1, np.arange(len(self.scores))))
        return np.where(known >= 0, self.scores[np.maximum(known, 0)], 0.0)

    def alarms(self, times: Doubles, factor: float = 1.0) -> tuple[Alarm, ...]:
        """The alarms that the daemon would raise, at `factor` times both thresholds. times: (test row,) seconds."""
        rules = replace(self.rules, threshold=factor * self.rules.threshold, lower=factor * self.rules.lower)
        return tuple(simulate_alarms(times, self.scores, rules, gaps(times, self.max_gap_s)))


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A method's scores held against the labels; figures are None where there are none to hold them against."""

    name: str  # of the series
    method: str
    scores: Doubles  # (row,)
    threshold: float
    times: Doubles  # (row,)
    labels: Bools | None  # (row,)
    alarms: tuple[Alarm, ...]
    days: float | None  # that the rows span; None where they carry no times of day
    raised_at: tuple[tuple[Alarm, ...], ...] = ()  # at each of FACTORS times the threshold
    counts: Counts | None = None
    roc: float | None = None
    area: float | None = None
    volume: float | None = None
    events: EventCounts | None = None

    @property
    def rows(self) -> int:
        """Test rows."""
        return len(self.scores)

    @property
    def anomalous(self) -> int:
        """Test rows labelled so."""
        return 0 if self.labels is None else int(self.labels.sum())


def judge(series: Series, method: MethodScores) -> MethodResult:
    """Scores, threshold and alarms against the labels, where there are any."""
    scores, labels, threshold = method.carried, series.labels, method.rules.threshold
    alarms = method.alarms(series.times)
    days = float(np.ptp(series.times)) / DAY_S if len(scores) and series.times[0] >= OLDEST_S else None
    bare = (series.name, method.method, scores, threshold, series.times, labels, alarms, days)
    if labels is None:
        return MethodResult(*bare)
    return MethodResult(
        *bare,
        raised_at=tuple(method.alarms(series.times, factor) for factor in FACTORS),
        counts=count(labels, scores > threshold),
        roc=area_under_roc(labels, scores),
        area=area_under_pr(labels, scores),
        volume=volume_under_pr(labels, scores, series.buffer),
        events=match(labels, series.times, alarms),
    )
