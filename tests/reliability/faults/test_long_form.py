"""Faults over a long feed: mixed rates, reports by exception, late values; rows that wait when the fault strikes."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.reliability.faults import feed, processes
from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.testbed import AT_LEAST_ONCE, EXACTLY_ONCE, FaultTestbed

QUICK = {"max_poll_interval_s": 3, "session_timeout_s": 3}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("harm", "guarantee", "sections"),
    [
        pytest.param(processes.killed_in_state, AT_LEAST_ONCE, {}, id="SIGKILL, state half written"),
        pytest.param(processes.killed_before_commit, EXACTLY_ONCE, {}, id="SIGKILL, not committed"),
        pytest.param(processes.members_come_and_go, AT_LEAST_ONCE, {}, id="members added and removed"),
        pytest.param(processes.zombie_commits, AT_LEAST_ONCE, {"kafka": QUICK}, id="a zombie commits"),
    ],
)
def test_no_fault_loses_or_doubles_a_row_of_long_records(
    testbed: FaultTestbed,
    harm: Callable[[DaemonRun, FaultTestbed], None],
    guarantee: str,
    sections: dict[str, Any],
) -> None:
    """Rows, late values, dead letters, alerts and state are those of a run without faults."""
    topic = testbed.publish(feed.one_sensor_a_record(feed.SHORT))
    baseline = testbed.baseline(topic)
    with testbed.daemons(topic, guarantee, **testbed.paced(sections)) as daemons:
        harm(daemons, testbed)
        daemons.finish()
        outcome = daemons.reconcile(baseline)
    assert outcome.records > 1000
    assert outcome.passed, "\n".join(outcome.problems)
