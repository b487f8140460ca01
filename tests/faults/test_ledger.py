"""The ledger is worth nothing if it never complains: it is shown runs that lost and doubled something."""

import json
from copy import deepcopy

import pytest

from tests.faults.bench import AT_LEAST_ONCE, Bench
from tests.faults.failpoints import Trap
from tests.faults.ledger import Books, settle
from tests.faults.topics import elsewhere

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


def told(partition: int, words: str) -> bytes:
    """As much of an alert as says where its incident's records lie."""
    return json.dumps({"data": {"origin": {"partition": partition}, "message": words}}).encode()


def test_only_the_harmed_partition_may_tell_otherwise() -> None:
    """An incident open at a gap goes on otherwise after it; an incident of another partition may not be missing."""
    truth = Books(alerts={"a.0": told(0, "opened"), "a.1": told(0, "closed"), "b.0": told(1, "opened")})
    other = Books(alerts=truth.alerts | {"a.1": told(0, "closed later"), "c.0": told(0, "opened")})
    assert settle(other, elsewhere(truth, other, {0}), {}, [], exactly_once=False).fine
    silent = Books(alerts={"a.0": told(0, "opened")})
    account = settle(silent, elsewhere(truth, silent, {0}), {}, [], exactly_once=False)
    assert account.complaints == ("1 alerts are lost: b.0",)
    invented = Books(alerts=truth.alerts | {"c.0": told(1, "opened")})
    account = settle(invented, elsewhere(truth, invented, {0}), {}, [], exactly_once=False)
    assert account.complaints == ("1 alerts that the fault-free run did not raise: c.0",)


@pytest.mark.parametrize("stream", ["scores", "dead_letters", "alerts"])
def test_a_daemon_that_forgets_to_send_is_caught(bench: Bench, stream: str) -> None:
    """One message that never leaves a real daemon shows in the account of its run."""
    laid = bench.steady()
    truth = bench.truth(laid)
    with bench.plant(laid, AT_LEAST_ONCE) as plant:
        plant.start(trap=Trap(f"send:{stream}", deed="lose"))
        plant.finish()
        assert not plant.settle(truth).fine
