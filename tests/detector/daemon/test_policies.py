"""Policies take `now` and give a decision: what they decide is seen without a loop, a broker or a clock."""

from detector.daemon.policies import BadInputPolicy, CheckpointPolicy, PollPace, RetryPause
from schemas.config import Limits


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
    assert policy.add(9, 9) is None
    assert policy.add(0, 0) is None
    assert policy.add(1, 0) == (9, 10)
    assert policy.add(10, 5) is None
    assert policy.add(10, 6) == (6, 10)


def test_a_share_is_exceeded_only_above_it() -> None:
    """limits.bad_share of 1 never stops the daemon."""
    policy = BadInputPolicy(Limits(bad_share=1, bad_of_last=10))
    assert [policy.add(10, 10) for _ in range(3)] == [None] * 3
    policy.configure(Limits(bad_share=0.9, bad_of_last=10))
    assert policy.add(10, 10) == (10, 10)


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
