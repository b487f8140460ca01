"""Scoring: the chain is the recurrence its docstring states, for any polls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from detector.core.scoring import ScoreSmoother, significant
from schemas.manifest import ScoreComponent, Scoring

IDENTITY = ((1.0, 0.0), (0.0, 1.0))
MAHALANOBIS = Scoring(
    method="mahalanobis", vector_alpha=0.3, score_alpha=0.4, center=(0.1, -0.2), precision=((2.0, 0.5), (0.5, 1.0))
)


def by_hand(errors: NDArray[np.float64]) -> list[float]:
    """One asset's scores, row by row."""
    vector, level, scores = np.zeros(2), None, []
    for row in np.round(errors, 4):
        vector = vector + 0.3 * (row - vector)
        off = vector - np.array(MAHALANOBIS.center)
        distance = float(significant(np.array([np.sqrt(off @ np.array(MAHALANOBIS.precision) @ off)]))[0])
        level = distance if level is None else level + 0.4 * (distance - level)
        scores.append(float(significant(np.array([level]))[0]))
    return scores


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 40), st.integers(0, 99))
def test_the_chain_is_its_recurrence_for_any_polls(rows: int, assets: int, poll: int, seed: int) -> None:
    """Assets in step, in polls of any size, score as each would alone."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(assets, rows, 2)).astype(np.float32)
    order = rng.permutation(np.repeat(np.arange(assets), rows))
    taken, smoother = np.zeros(assets, int), ScoreSmoother(MAHALANOBIS, 2)
    got: list[list[float]] = [[] for _ in range(assets)]
    for begin in range(0, len(order), poll):
        slots = np.sort(order[begin : begin + poll])
        raw = np.empty((len(slots), 2), np.float32)
        for i, slot in enumerate(slots):
            raw[i] = errors[slot, taken[slot]]
            taken[slot] += 1
        scores, _ = smoother.advance(slots, raw, np.zeros(len(slots), bool))
        for slot, score in zip(slots, scores, strict=True):
            got[slot].append(float(score))
    for asset in range(assets):
        assert got[asset] == pytest.approx(by_hand(errors[asset].astype(float)), rel=1e-6)


def test_a_fresh_row_begins_anew() -> None:
    """After a gap the chain scores as if the asset had just been met."""
    errors = np.random.default_rng(3).normal(size=(20, 2)).astype(np.float32)
    reset_before = np.zeros(20, bool)
    reset_before[12] = True
    scores, _ = ScoreSmoother(MAHALANOBIS, 2).advance(np.zeros(20, np.int64), errors, reset_before)
    assert scores[12:].tolist() == pytest.approx(by_hand(errors[12:].astype(float)), rel=1e-6)


def test_contributions_are_signed_shares() -> None:
    """A sensor that reads high gets a positive share, one that reads low a negative one; shares sum to one."""
    smoother = ScoreSmoother(Scoring(method="mahalanobis", center=(0.0, 0.0), precision=IDENTITY), 2)
    shares = smoother.contributions(np.array([[3.0, -1.0]]), np.zeros((1, 2)))
    assert shares.tolist() == [[0.9, -0.1]]


SUM = Scoring(
    method="sum",
    score_alpha=0.4,
    components=(
        ScoreComponent(name="values", width=2, center=(0.1, -0.2), precision=((2.0, 0.5), (0.5, 1.0)), scale=3.0),
        ScoreComponent(name="distance", width=1, scale=0.5),
        ScoreComponent(name="values", width=2, vector_alpha=0.3, center=(0.1, -0.2), precision=IDENTITY, scale=1.5),
    ),
)


def test_a_sum_adds_what_its_parts_come_to() -> None:
    """Each part's distance by its own scale, fast and slow vectors side by side, in polls of any size."""
    raw = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    slow, level, expected = np.zeros(2), None, []
    for row in np.round(raw.astype(float), 4):
        slow = slow + 0.3 * (row[3:] - slow)
        fast, calm = row[:2] - (0.1, -0.2), slow - (0.1, -0.2)
        first = np.sqrt(fast @ np.array(((2.0, 0.5), (0.5, 1.0))) @ fast) / 3.0
        total = first + row[2] / 0.5 + np.sqrt(calm @ calm) / 1.5
        level = total if level is None else level + 0.4 * (total - level)
        expected.append(level)
    smoother, got = ScoreSmoother(SUM, 2), []
    for begin, end in ((0, 1), (1, 9), (9, 30)):
        got += smoother.advance(np.zeros(end - begin, np.int64), raw[begin:end], np.zeros(end - begin, bool))[
            0
        ].tolist()
    assert smoother.width == 5
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_sensor_leads_a_sum_as_far_as_its_parts_add() -> None:
    """Shares of a sum are those of its parts, weighed by what each adds; where none has sensors the errors speak."""
    shares = ScoreSmoother(SUM, 2).contributions(np.array([[4.0, 0.0, 9.0, 3.0, 0.0]]), np.zeros((1, 2)))
    assert shares[0, 0] > 0.8
    assert np.abs(shares).sum() == pytest.approx(1.0)
    alone = Scoring(method="sum", components=(ScoreComponent(name="distance", width=1, scale=0.5),))
    assert ScoreSmoother(alone, 2).contributions(np.array([[9.0]]), np.array([[3.0, -1.0]])).tolist() == [[0.9, -0.1]]


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e30, 1e30)))
def test_six_significant_digits(values: NDArray[np.float64]) -> None:
    """Rounding moves a value by at most half a unit of its sixth digit, and twice is once."""
    once = significant(values)
    assert np.allclose(once, values, rtol=5.1e-6, atol=1e-289)
    assert np.allclose(significant(once), once, rtol=1e-12, atol=0)
