"""The ledger is worth nothing if it never complains: it is shown runs that lost and doubled something."""

import json
from copy import deepcopy

import pytest
from kafka import KafkaProducer

from tests.reliability.faults.bench import AT_LEAST_ONCE, Bench
from tests.reliability.faults.failpoints import Trap
from tests.reliability.faults.ledger import ROLES, Books, read_books, settle
from tests.reliability.faults.topics import elsewhere
from tests.support.kafka_client import Message

TRUTH = Books(
    entries={(0, 0): ("pump-1", 1.5, 0), (0, 1): "not_json", (0, 2): ("pump-2", 2.5, 0)},
    alerts={"a.0": b"opened"},
    state={(0, "pump-1"): b"memory"},
    positions={0: 3},
)


def spoil(books: Books, what: str) -> Books:
    """A copy with one thing wrong."""
    spoilt = deepcopy(books)
    if what == "a record lost":
        del spoilt.entries[0, 2]
    elif what == "a record nobody sent":
        spoilt.entries[0, 3] = ("pump-2", 2.5, 0)
    elif what == "another score":
        spoilt.entries[0, 0] = ("pump-1", 1.6, 0)
    elif what == "an alert lost":
        del spoilt.alerts["a.0"]
    elif what == "an alert more":
        spoilt.alerts["b.0"] = b"opened"
    elif what == "an alert that says something else":
        spoilt.alerts["a.0"] = b"closed"
    elif what == "another state":
        spoilt.state[0, "pump-1"] = b"memoir"
    elif what == "state that stands elsewhere":
        spoilt.positions[0] = 2
    else:
        spoilt.contradictions.append(what)
    return spoilt


def test_a_run_like_the_fault_free_one_is_fine() -> None:
    """Duplicates are no complaint under at_least_once, and are one under exactly_once."""
    books = deepcopy(TRUTH)
    assert settle(books, TRUTH, {0: 3}, [], exactly_once=True).fine
    books.duplicates = 1
    assert settle(books, TRUTH, {0: 3}, [], exactly_once=False).fine
    assert not settle(books, TRUTH, {0: 3}, [], exactly_once=True).fine


@pytest.mark.parametrize(
    "what",
    ["a record lost", "a record nobody sent", "another score", "an alert lost", "an alert more",
     "an alert that says something else", "another state", "state that stands elsewhere", "one place, two scores"],
)  # fmt: skip
def test_whatever_is_wrong_is_said(what: str) -> None:
    """One complaint a wrong."""
    account = settle(spoil(TRUTH, what), TRUTH, {0: 3}, [], exactly_once=False)
    assert len(account.complaints) == 1, account.complaints


def test_records_that_retention_took_are_not_missed() -> None:
    """They are accounted for elsewhere, and may not turn up after all."""
    books = spoil(TRUTH, "a record lost")
    assert settle(books, TRUTH, {0: 3}, [], exactly_once=False, gone={(0, 2)}).fine
    assert not settle(TRUTH, TRUTH, {0: 3}, [], exactly_once=False, gone={(0, 2)}).fine


def told(partition: int, offset: int, words: str) -> bytes:
    """As much of an alert as says where its incident's records lie."""
    return json.dumps({"data": {"origin": {"partition": partition, "last_offset": offset}, "message": words}}).encode()


GAPPED = Books(alerts={"a.0": told(0, 5, "opened"), "a.1": told(0, 15, "closed"), "b.0": told(1, 15, "opened")})


def test_only_what_follows_a_gap_may_tell_otherwise() -> None:
    """An incident that is open at a gap goes on otherwise, and others may follow."""
    books = Books(alerts=GAPPED.alerts | {"a.1": told(0, 14, "closed"), "c.0": told(0, 15, "opened")})
    assert settle(books, elsewhere(GAPPED, books, {0: 10}), {}, [], exactly_once=False).fine


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
    books = Books(alerts={key: value for key, value in (GAPPED.alerts | changes).items() if value is not None})
    assert settle(books, elsewhere(GAPPED, books, {0: 10}), {}, [], exactly_once=False).complaints == (said,)


def test_what_lies_behind_an_open_transaction_is_waited_for(bench: Bench) -> None:
    """A killed producer's transaction hides what others wrote after it, until the broker ends it: nothing is lost."""
    run = bench.name("run")
    for role in ROLES:
        bench.cluster.create(f"{run}.{role}", 1)
    killed = KafkaProducer(bootstrap_servers=bench.cluster.bootstrap, transactional_id=run, transaction_timeout_ms=3000)
    killed.init_transactions()
    killed.begin_transaction()
    killed.send(f"{run}.alerts", b"never committed").get(10)
    bench.cluster.produce(f"{run}.alerts", [Message(b'{"id": "a.0"}')])
    assert not bench.cluster.read_all(f"{run}.alerts", isolation="read_committed"), "it is hidden"
    assert read_books(bench.cluster, run).alerts.keys() == {"a.0"}


@pytest.mark.parametrize("stream", ["scores", "dead_letters", "alerts"])
def test_a_daemon_that_forgets_to_send_is_caught(bench: Bench, stream: str) -> None:
    """One message that never leaves a real daemon shows in the account of its run."""
    laid = bench.steady()
    truth = bench.truth(laid)
    with bench.plant(laid, AT_LEAST_ONCE) as plant:
        plant.start(trap=Trap(f"send:{stream}", deed="lose"))
        plant.finish()
        assert not plant.settle(truth).fine
