"""Policies take `now` and give a decision: what they decide is seen without a loop, a broker or a clock."""

from collections import Counter

import pytest

from detector.core.ingest.rows import Rejected
from detector.core.outcome import Outcome
from detector.core.tally import Tally
from detector.daemon.policies import BadInputPolicy, BlindnessPolicy, CheckpointPolicy, PollPace, RetryPause
from schemas.config import Limits
from schemas.feed import Reason, RowFlag
from tests.support.plant import FakeRecord

NONE = float("-inf")  # no event time was seen


def test_a_checkpoint_is_due_an_interval_after_the_last_try() -> None:
    """Not earlier; and a try that failed does not make the next one come at once."""
    policy = CheckpointPolicy(Limits(checkpoint_s=5), now=100.0)
    assert [policy.due(now) for now in (100.0, 104.9, 105.0)] == [False, False, True]
    policy.begun(105.0)
    assert [policy.due(now) for now in (105.0, 109.9, 110.0)] == [False, False, True]


def test_an_alert_that_waits_for_the_commit_waits_a_quarter_of_a_second() -> None:
    """A second alert does not put it off, and a checkpoint that is due anyway is not put off either."""
    policy = CheckpointPolicy(Limits(checkpoint_s=5), now=0.0)
    policy.hurry(1.0)
    policy.hurry(1.2)
    assert [policy.due(now) for now in (1.2, 1.25)] == [False, True]
    policy.begun(1.25)
    assert not policy.due(2.0)
    policy.hurry(6.2)
    assert policy.due(6.25)


def test_another_interval_counts_from_the_last_checkpoint() -> None:
    """A reload that shortens it is felt at once, and not after one more of the old intervals."""
    policy = CheckpointPolicy(Limits(checkpoint_s=600), now=0.0)
    policy.configure(Limits(checkpoint_s=5))
    assert [policy.due(now) for now in (4.0, 5.0)] == [False, True]


def test_bad_input_counts_over_the_last_records_only() -> None:
    """Old good records do not excuse, old bad ones do not accuse, and fewer than the limit decide nothing."""
    policy = BadInputPolicy(Limits(bad_share=0.5, bad_of_last=10))
    assert policy.add(9, 9, 0.0, NONE) is None
    assert policy.add(0, 0, 0.0, NONE) is None
    assert policy.add(1, 0, 0.0, NONE) == (9, 10)
    assert policy.add(10, 5, 0.0, NONE) is None
    assert policy.add(10, 6, 0.0, NONE) == (6, 10)


def test_a_share_is_exceeded_only_above_it() -> None:
    """limits.bad_share of 1 never stops the daemon."""
    policy = BadInputPolicy(Limits(bad_share=1, bad_of_last=10))
    assert [policy.add(10, 10, 0.0, NONE) for _ in range(3)] == [None] * 3
    policy.configure(Limits(bad_share=0.9, bad_of_last=10))
    assert policy.add(10, 10, 0.0, NONE) == (10, 10)


def test_polls_keep_their_distance_unless_the_feed_is_behind() -> None:
    """What is left of the interval, nothing after it, nothing where a poll was half full."""
    pace = PollPace(Limits(poll_interval_ms=20, poll_records=100))
    assert round(pace.pause_s(1.0, 1.005, 10), 6) == 0.015
    assert pace.pause_s(1.0, 1.5, 10) == 0
    assert pace.pause_s(1.0, 1.005, 50) == 0


def test_each_try_waits_longer_until_one_succeeds() -> None:
    """From a tenth of a second up to two: a stop signal never waits longer than that."""
    pause = RetryPause()
    assert [round(pause.next_s(), 3) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    pause.succeeded()
    assert pause.next_s() == 0.1


@pytest.mark.parametrize("by_feed", [False, True])
def test_a_slow_feed_is_stopped_after_a_span_of_time(by_feed: bool) -> None:
    """A record in five minutes: an hour of the clock or of the feed's own time, and not 35 days."""
    policy = BadInputPolicy(Limits(bad_share=0.9, bad_of_last=10_000, bad_span_s=3600))
    times = [(0.0, 1e9 + 300.0 * n) if by_feed else (300.0 * n, NONE) for n in range(20)]
    found = [policy.add(1, 1, *at) for at in times]
    assert found[:12] == [None] * 12
    assert found[12:] == [(13, 13)] * 8
    assert policy.add(5, 0, 0.0 if by_feed else 6000.0, 1e9 + 6000.0 if by_feed else NONE) is None


def test_a_span_with_few_records_stops_nothing() -> None:
    """One bad record a day is not a feed that changed until there are ten of them."""
    policy = BadInputPolicy(Limits(bad_span_s=3600))
    found = [policy.add(1, 1, 86400.0 * day, NONE) for day in range(10)]
    assert found == [None] * 9 + [(10, 10)]


def outcome(records: int, scored: int = 0, bad: int = 0, newest_s: float = NONE, **flags: int) -> Outcome:
    """What a poll gave."""
    letters = [Rejected(FakeRecord(n, b"?"), Reason.NOT_JSON, "") for n in range(bad)]
    counts = Counter({RowFlag[name.upper()]: count for name, count in flags.items()})
    return Outcome(records=records, scored=scored, dead_letters=letters, flags=counts, newest_s=newest_s)


BLIND = {
    "unreadable": (outcome(10, bad=10), "10 of 10 records could not be read (not_json 10)"),
    "nearly unreadable": (outcome(100, scored=5, bad=95), "95 of 100 records could not be read (not_json 95)"),
    "unwatched": (outcome(10, unwatched=10), "no watch rule names their assets (p-1)"),
    "unfillable": (outcome(10, unfillable=10), "10 rows are unfillable"),
    "gaps": (outcome(10, gap=10, warming=10), "10 rows are gap"),
    "coarse clock": (outcome(10, late=8, clock_reset=2, warming=2), "8 rows are late"),
}
SEES = {
    "all well": outcome(10, scored=10),
    "a mixed topic": outcome(100, scored=3, unwatched=97),
    "windows fill": outcome(10, warming=10),
    "windows fill after a gap": outcome(10, warming=10, gap=1),
    "half unreadable": outcome(10, scored=5, bad=5),
    "long records wait": outcome(10),
}


@pytest.mark.parametrize(("poll", "problem"), BLIND.values(), ids=BLIND.keys())
def test_blindness_is_told_within_a_minute_and_lasts_until_rows_are_scored(poll: Outcome, problem: str) -> None:
    """Not before there was a minute of it, again with each minute, and over at once when rows are scored."""
    policy = BlindnessPolicy(Limits())
    found = [policy.add(poll, ["p-1"], now) for now in range(0, 130, 10)]
    assert found[:6] == [None] * 6
    assert all(fault is not None for fault in found[6:])
    assert found[6] is not None
    assert policy.add(outcome(0), [], 1000.0) is not None
    assert policy.add(outcome(10, scored=10), [], 1000.0) is None
    assert policy.add(outcome(10, scored=10), [], 2000.0) is None
    letters = Counter({Reason.NOT_JSON: len(poll.dead_letters)})
    fault = Tally(poll.records, poll.scored, letters, poll.flags).blindness(0.9, ["p-1"])
    assert fault is not None
    assert fault.problem.endswith(problem)
    assert fault.remedy


@pytest.mark.parametrize("poll", SEES.values(), ids=SEES.keys())
def test_a_feed_of_which_enough_is_scored_is_not_blind(poll: Outcome) -> None:
    """Neither a mixed topic, nor windows that fill, nor half of the records."""
    policy = BlindnessPolicy(Limits())
    assert not any(policy.add(poll, ["p-1"], now) for now in range(0, 300, 10))


def test_a_minute_of_the_feed_is_enough_and_one_record_is_not() -> None:
    """A replay is read faster than the clock; a single stray record accuses nobody."""
    policy = BlindnessPolicy(Limits())
    polls = [outcome(30, unfillable=30, newest_s=1e9 + 30.0 * n) for n in range(4)]
    assert [policy.add(poll, [], 0.0) is not None for poll in polls] == [False, False, True, True]
    policy = BlindnessPolicy(Limits())
    assert [policy.add(outcome(int(n < 2), bad=int(n < 2)), [], 100.0 * n) for n in range(5)] == [None] * 5
