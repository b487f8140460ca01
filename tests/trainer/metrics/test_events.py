"""Events are found as a person on call counts them."""

import numpy as np
import pytest

from trainer.metrics.alarms import Alarm
from trainer.metrics.events import Delay, EventCounts, match


def test_alarms_against_events() -> None:
    """Overlap finds an event; the delay runs from its first row; an alarm beside all events is a false one."""
    labels = np.zeros(100, bool)
    labels[10:20], labels[50:60], labels[80:90] = True, True, True
    times = np.arange(0, 6000, 60, dtype=np.float64)
    found = match(labels, times, [Alarm(13, 25), Alarm(30, 32), Alarm(45, 70)])
    assert found == EventCounts(3, 3, 2, (Delay(3, 180.0), Delay(0, 0.0)))
    assert found.recall == found.precision == pytest.approx(2 / 3)
    assert (found + found).delay == Delay(2, 90.0)
    none = match(~labels & labels, times, [])
    assert (none.recall, none.precision, none.delay) == (None, None, None)
