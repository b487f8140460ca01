"""The ledger is worth nothing if it never complains: it is shown runs that lost and doubled something."""

import json
from copy import deepcopy

import pytest
from kafka import KafkaProducer

from tests.reliability.faults.failpoints import Failpoint
from tests.reliability.faults.ledger import ROLES, RunOutputs, read_outputs, reconcile
from tests.reliability.faults.testbed import AT_LEAST_ONCE, FaultTestbed
from tests.reliability.faults.topics import elsewhere
from tests.support.kafka_client import Message

TRUTH = RunOutputs(
    entries={(0, 0): ("pump-1", 1.5, 0), (0, 1): "not_json", (0, 2): ("pump-2", 2.5, 0)},
    alerts={"a.0": b"opened"},
    state={(0, "pump-1"): b"memory"},
    positions={0: 3},
)


def bad_feed_fault(outputs: RunOutputs, what: str) -> RunOutputs:
    """A copy with one thing wrong."""
    bad_feed = deepcopy(outputs)
    if what == "a record lost":
        del bad_feed.entries[0, 2]
    elif what == "a record nobody sent":
        bad_feed.entries[0, 3] = ("pump-2", 2.5, 0)
    elif what == "another score":
        bad_feed.entries[0, 0] = ("pump-1", 1.6, 0)
    elif what == "an alert lost":
        del bad_feed.alerts["a.0"]
    elif what == "an alert more":
        bad_feed.alerts["b.0"] = b"opened"
    elif what == "an alert that says something else":
        bad_feed.alerts["a.0"] = b"closed"
    elif what == "another state":
        bad_feed.state[0, "pump-1"] = b"memoir"
    elif what == "state that stands elsewhere":
        bad_feed.positions[0] = 2
    else:
        bad_feed.contradictions.append(what)
    return bad_feed


def test_a_run_like_the_fault_free_one_is_fine() -> None:
    """Duplicates are no complaint under at_least_once, and are one under exactly_once."""
    outputs = deepcopy(TRUTH)
    assert reconcile(outputs, TRUTH, {0: 3}, [], exactly_once=True).passed
    outputs.duplicates = 1
    assert reconcile(outputs, TRUTH, {0: 3}, [], exactly_once=False).passed
    assert not reconcile(outputs, TRUTH, {0: 3}, [], exactly_once=True).passed


@pytest.mark.parametrize(
    "what",
    ["a record lost", "a record nobody sent", "another score", "an alert lost", "an alert more",
     "an alert that says something else", "another state", "state that stands elsewhere", "one place, two scores"],
)  # fmt: skip
def test_whatever_is_wrong_is_said(what: str) -> None:
    """One complaint a wrong."""
    reconciliation = reconcile(bad_feed_fault(TRUTH, what), TRUTH, {0: 3}, [], exactly_once=False)
    assert len(reconciliation.problems) == 1, reconciliation.problems


def test_records_that_retention_took_are_not_missed() -> None:
    """They are accounted for elsewhere, and may not turn up after all."""
    outputs = bad_feed_fault(TRUTH, "a record lost")
    assert reconcile(outputs, TRUTH, {0: 3}, [], exactly_once=False, gone={(0, 2)}).passed
    assert not reconcile(TRUTH, TRUTH, {0: 3}, [], exactly_once=False, gone={(0, 2)}).passed


def told(partition: int, offset: int, words: str) -> bytes:
    """As much of an alert as says where its incident's records lie."""
    return json.dumps({"data": {"origin": {"partition": partition, "last_offset": offset}, "message": words}}).encode()


GAPPED = RunOutputs(alerts={"a.0": told(0, 5, "opened"), "a.1": told(0, 15, "closed"), "b.0": told(1, 15, "opened")})


def test_only_what_follows_a_gap_may_tell_otherwise() -> None:
    """An incident that is open at a gap goes on otherwise, and others may follow."""
    outputs = RunOutputs(alerts=GAPPED.alerts | {"a.1": told(0, 14, "closed"), "c.0": told(0, 15, "opened")})
    assert reconcile(outputs, elsewhere(GAPPED, outputs, {0: 10}), {}, [], exactly_once=False).passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"b.0": None}, "1 alerts are lost: b.0"),
        ({"a.0": None}, "1 alerts are lost: a.0"),
        ({"a.0": told(0, 5, "updated")}, "1 alerts differ: a.0"),
        ({"c.0": told(1, 15, "opened")}, "1 alerts that the fault-free run did not raise: c.0"),
    ],
)
def test_before_a_gap_and_elsewhere_all_must_be_as_ever(changes: dict[str, bytes | None], said: str) -> None:
    """In the harmed partition too, up to the first record that is gone."""
    outputs = RunOutputs(alerts={key: value for key, value in (GAPPED.alerts | changes).items() if value is not None})
    assert reconcile(outputs, elsewhere(GAPPED, outputs, {0: 10}), {}, [], exactly_once=False).problems == (said,)


def test_what_lies_behind_an_open_transaction_is_waited_for(testbed: FaultTestbed) -> None:
    """A killed producer's transaction hides what others wrote after it, until the broker ends it: nothing is lost."""
    run = testbed.name("run")
    for role in ROLES:
        testbed.cluster.create(f"{run}.{role}", 1)
    killed = KafkaProducer(
        bootstrap_servers=testbed.cluster.bootstrap, transactional_id=run, transaction_timeout_ms=3000
    )
    killed.init_transactions()
    killed.begin_transaction()
    killed.send(f"{run}.alerts", b"never committed").get(10)
    testbed.cluster.produce(f"{run}.alerts", [Message(b'{"id": "a.0"}')])
    assert not testbed.cluster.read_all(f"{run}.alerts", isolation="read_committed"), "it is hidden"
    assert read_outputs(testbed.cluster, run).alerts.keys() == {"a.0"}


@pytest.mark.parametrize("stream", ["scores", "dead_letters", "alerts"])
def test_a_daemon_that_forgets_to_send_is_caught(testbed: FaultTestbed, stream: str) -> None:
    """One message that never leaves a real daemon shows in the account of its run."""
    feed_topic = testbed.steady()
    baseline = testbed.baseline(feed_topic)
    with testbed.daemons(feed_topic, AT_LEAST_ONCE) as daemons:
        daemons.start(failpoint=Failpoint(f"send:{stream}", action="lose"))
        daemons.finish()
        assert not daemons.reconcile(baseline).passed
