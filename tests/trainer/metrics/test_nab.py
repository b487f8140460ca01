"""The NAB score agrees with its definition, worked out by hand."""

import numpy as np
import pytest

from trainer.metrics.nab import nab_score, worth

LABELS = np.zeros(200, bool)
LABELS[50:60], LABELS[120:130] = True, True


def sigmoid(position: float) -> float:
    """The benchmark's scaled sigmoid."""
    return float(2 / (1 + np.exp(5 * position)) - 1)


def test_silence_is_0_and_the_first_rows_of_all_windows_100() -> None:
    """The two ends of the scale."""
    silent, perfect = np.zeros(200, bool), np.zeros(200, bool)
    perfect[[50, 120]] = True
    assert nab_score([(worth(LABELS), silent)]) == pytest.approx(0.0)
    assert nab_score([(worth(LABELS), perfect)]) == pytest.approx(100.0)
    assert nab_score([(worth(LABELS & False), silent)]) is None


def test_late_hits_and_false_alarms_by_hand() -> None:
    """One window hit half way (later rows of it add nothing), one missed, one alarm before all, one just behind."""
    alarmed = np.zeros(200, bool)
    alarmed[[10, 55, 58, 62]] = True
    hit = sigmoid(-(59 - 55 + 1) / 10) / sigmoid(-1.0)
    false = 0.11 * (-1.0 + sigmoid(3 / 9))
    assert nab_score([(worth(LABELS), alarmed)]) == pytest.approx(100 * (hit - 1 + false + 2) / 4)


def test_series_are_scored_together() -> None:
    """Windows and false alarms of all series are summed before anything is scaled."""
    perfect, noisy = np.zeros(200, bool), np.zeros(200, bool)
    perfect[[50, 120]] = True
    noisy[[0, 1, 2]] = True  # long before any window: each is wholly false
    series = [(worth(LABELS), perfect), (worth(LABELS), noisy)]
    assert nab_score(series) == pytest.approx(100 * (2 - 2 - 3 * 0.11 + 4) / 8)
