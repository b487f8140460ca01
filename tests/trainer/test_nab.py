"""The NAB score agrees with its definition, worked out by hand."""

import numpy as np
import pytest

from trainer.nab import nab_oracle, nab_score, worth

LABELS = np.zeros(200, bool)
LABELS[50:60], LABELS[120:130] = True, True


def sigmoid(position: float) -> float:
    """The benchmark's scaled sigmoid."""
    return float(2 / (1 + np.exp(5 * position)) - 1)


def test_silence_is_0_and_the_first_rows_of_all_windows_100() -> None:
    """The two ends of the scale."""
    silent, perfect = np.zeros(200), np.zeros(200)
    perfect[[50, 120]] = 2.0
    assert nab_score([(worth(LABELS), silent)]) == pytest.approx(0.0)
    assert nab_score([(worth(LABELS), perfect)]) == pytest.approx(100.0)
    assert nab_score([(worth(LABELS & False), silent)]) is None


def test_late_hits_and_false_alarms_by_hand() -> None:
    """One window hit half way (later rows of it add nothing), one missed, one alarm before all, one just behind."""
    scores = np.zeros(200)
    scores[[10, 55, 58, 62]] = 2.0
    hit = sigmoid(-(59 - 55 + 1) / 10) / sigmoid(-1.0)
    false = 0.11 * (-1.0 + sigmoid(3 / 9))
    assert nab_score([(worth(LABELS), scores)]) == pytest.approx(100 * (hit - 1 + false + 2) / 4)


def test_one_threshold_for_all_series_and_the_oracle_beside_it() -> None:
    """The oracle is the best of one threshold over all series together, and at least the given one's score."""
    rng = np.random.default_rng(0)
    series = [(worth(LABELS), rng.random(200) + 0.4 * LABELS) for _ in range(3)]
    by_hand = [nab_score(series, threshold) for threshold in np.r_[np.concatenate([s for _, s in series]), 9.0]]
    assert nab_oracle(series) == pytest.approx(max(score for score in by_hand if score is not None))
    assert nab_score(series, 9.0) == pytest.approx(0.0)
