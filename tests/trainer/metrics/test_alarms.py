"""Simulated alarms are the daemon's own, also beside gaps and rows without a score."""

import numpy as np
import pytest

from detector.bundles.loading import OnnxScorer
from detector.core.arrays import Doubles, Floats, Ints
from detector.core.ingest.rows import Rows
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from schemas.alert import Alert, AlertKind, AlertState
from schemas.config import Drift, Settings, WatchRule
from tests.support.made_history import SENSORS, START, fitted_model, made_values
from trainer.bundle.result import Fitted
from trainer.data.history import AssetHistory, History
from trainer.evaluation.evaluate import method_scores
from trainer.evaluation.judge import judge
from trainer.evaluation.series import Series
from trainer.metrics.alarms import Alarm, alarm_rules, simulate_alarms


def test_an_alarm_waits_for_the_on_delay_and_outlives_a_dip() -> None:
    """It is told after 2 s above, a dip between the thresholds keeps it, and it ends where it began to close."""
    scores = np.array([0, 2, 0, 2, 2, 2, 0.9, 2, 0, 0, 0, 0, 2, 2, 2], float)
    by = alarm_rules(threshold=1.0, lower=0.8, on_delay_s=2.0, off_delay_s=3.0)
    assert simulate_alarms(np.arange(15.0), scores, by) == [Alarm(5, 7), Alarm(14, 14)]


def test_a_gap_ends_what_was_not_yet_an_alarm() -> None:
    """Two rows above with rows missing between them are no lasting excess; an alarm outlives the gap."""
    scores = np.array([2, 2, 2, 2, 2, 2, 2, 0, 0], float)
    times = np.array([0, 1, 100, 101, 102, 103, 200, 201, 300], float)
    by = alarm_rules(threshold=1.0, lower=0.8, on_delay_s=3.0, off_delay_s=3.0)
    reset_before = np.diff(times, prepend=0.0) > 10
    assert simulate_alarms(times, scores, by, reset_before) == [Alarm(5, 6)]
    assert simulate_alarms(times, scores, by) == [Alarm(2, 6)]


def test_a_row_without_a_score_moves_nothing() -> None:
    """It neither ends what is pending nor opens it: the on-delay is over at the next row with a score."""
    nan = np.nan
    scores = np.array([2, 2, nan, nan, 2, 2, nan, 0, nan, 0, 0], float)
    by = alarm_rules(threshold=1.0, lower=0.8, on_delay_s=2.0, off_delay_s=2.0)
    assert simulate_alarms(np.arange(11.0), scores, by) == [Alarm(4, 6)]


FULL = np.arange(900)
WITH_A_GAP = np.delete(FULL, np.arange(503, 560))  # rows are missing while an incident is pending
WITH_A_LATE_GAP = np.delete(FULL, np.arange(530, 590))  # and while one is open


@pytest.mark.parametrize("kept", [FULL, WITH_A_GAP, WITH_A_LATE_GAP], ids=["full", "gap", "late gap"])
def test_alarms_are_the_daemons(kept: Ints) -> None:
    """What evaluate counts as alarms is what the daemon sends for the same rows, to the row, also beside gaps."""
    values = made_values(900, 1)
    values[500:560, 2] += 25
    values[560:640, 2] += 40
    values[700:720, 0] -= 12
    times = START + np.arange(900.0)
    fitted = fitted_model("dense")
    history = History(SENSORS, (AssetHistory("pump-1", times[:300], values[:300]),), "synthetic")
    times, values = times[kept], values[kept]
    series = Series("pump-1", history, times[300:], values[300:], None, kept[300:])  # type: ignore[arg-type]
    alarms = judge(series, method_scores(series, fitted)).alarms
    opened = [
        alert.time.timestamp()
        for alert in process_alerts(fitted, times, values)
        if alert.data.state is AlertState.OPENED
    ]
    assert len(opened) >= 2
    assert [times[300 + alarm.opened] for alarm in alarms] == opened


def process_alerts(fitted: Fitted, times: Doubles, values: Floats) -> list[Alert]:
    """The daemon's process alerts of one pump's rows."""
    settings = Settings(watch=(WatchRule(model="pumps"),), drift=Drift(enabled=False), transport="files")
    scorers = {"pumps": OnnxScorer(fitted.manifest, fitted.graph)}
    watch = Watch(WatchSettings.of(settings), scorers, by_feed=True, topic="t")
    count = len(times)
    rows = Rows("t", np.zeros(count, np.int64), np.arange(count), ["pump-1"] * count, times, values, SENSORS)
    return [each for each in watch.process_rows(rows, float(times[-1])).alerts if each.data.kind is AlertKind.PROCESS]
