"""Held-out normal scores, and the alarms they would have raised: what a threshold is found from, and judged by."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints
from schemas.manifest import Timing
from schemas.training import Threshold
from trainer.metrics.alarms import alarm_rules, simulate_alarms
from trainer.replay.prepare import Prepared
from trainer.scoring.held_out import HeldOut

# The threshold alone cannot meet an alarm budget (the 99th percentile of a score at 1 Hz is exceeded 864 times a day);
# persistence does: a verdict must hold for some rows before anyone is called.
ON_DELAY_PERIODS, OFF_DELAY_PERIODS = 5, 10
WEEK_S = 604_800.0


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """Scores of held-out normal windows, by asset and in time order within one.

    >>> scores = np.array([0.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0])
    >>> zeros = np.zeros(7, np.int64)
    >>> delays = Timing(on_delay_s=2.0, off_delay_s=1.0)
    >>> held = HeldOutScores(scores, zeros, np.arange(7.0), zeros == 1, row_s=1.0, timing=delays)
    >>> held.alarms(threshold=1.0, lower=0.8), held.alarms(threshold=3.0, lower=2.4)
    (1, 0)
    """

    scores: Doubles  # (window,) higher is more anomalous
    slots: Ints  # (window,) number of the asset
    times: Doubles  # (window,) seconds, of the last row
    reset_before: Bools  # (window,) rows are missing before it
    row_s: float  # seconds from one window's last row to the next one's
    timing: Timing

    @property
    def weeks(self) -> float:
        """How long they span, all assets together."""
        return len(self.scores) * self.row_s / WEEK_S

    def alarms(self, threshold: float, lower: float) -> int:
        """How many incidents the daemon would have opened on them, all assets together, with the bundle's delays."""
        by = alarm_rules(threshold, lower, self.timing.on_delay_s, self.timing.off_delay_s)
        cuts = np.flatnonzero(np.diff(self.slots)) + 1
        parts = (np.split(column, cuts) for column in (self.times, self.scores, self.reset_before))
        return sum(
            len(simulate_alarms(times, scores, by, reset_before))
            for times, scores, reset_before in zip(*parts, strict=True)
        )


def held_out_scores(prepared: Prepared, held: HeldOut, scores: Doubles) -> HeldOutScores:
    """Scores (window,) of held-out windows, with what they need to become alarms.

    >>> from types import SimpleNamespace
    >>> from schemas.training import Training
    >>> replay = SimpleNamespace(times=np.arange(100.0))
    >>> prepared = SimpleNamespace(training=Training(stride=2), period_s=1.0, replay=replay)
    >>> held = SimpleNamespace(windows=np.array([8, 10]), slots=np.zeros(2), reset_before=np.array([True, False]))
    >>> scores = held_out_scores(prepared, held, np.array([0.5, 0.7]))
    >>> scores.times.tolist(), scores.row_s, scores.timing.on_delay_s
    ([8.0, 10.0], 2.0, 5.0)
    """
    training = prepared.training
    times, row_s = prepared.replay.times[held.windows], training.stride * prepared.period_s
    delays = timing(training.threshold, prepared.period_s)
    return HeldOutScores(scores, held.slots, times, held.reset_before, row_s, delays)


def timing(settings: Threshold, period_s: float) -> Timing:
    """The alarm delays: as configured, else some periods of the feed.

    >>> timing(Threshold(off_delay_s=120.0), period_s=60.0)
    Timing(on_delay_s=300.0, off_delay_s=120.0)
    """
    return Timing(
        on_delay_s=ON_DELAY_PERIODS * period_s if settings.on_delay_s is None else settings.on_delay_s,
        off_delay_s=OFF_DELAY_PERIODS * period_s if settings.off_delay_s is None else settings.off_delay_s,
    )


def describe_alarms(metrics: Mapping[str, float]) -> str:
    """For people: how many alarms the held-out scores would have raised at the threshold, and in how long.

    >>> describe_alarms({"held_out_weeks": 0.5, "held_out_alarms": 3})
    'alarms they would have raised in 3.5 days: 3'
    """
    weeks = metrics["held_out_weeks"]
    units = (("weeks", 1.0), ("days", 7.0), ("hours", 168.0), ("minutes", 10_080.0))
    name, in_a_week = next((unit for unit in units if weeks * unit[1] >= 2), units[-1])
    return f"alarms they would have raised in {weeks * in_a_week:.3g} {name}: {metrics['held_out_alarms']:.0f}"
