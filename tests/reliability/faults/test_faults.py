"""The short form of the fault matrix: every fault once under each guarantee, over the ledger."""

from collections.abc import Iterator

import pytest

from deploy.local.toxiproxy import ProxyMissingError
from tests.reliability.faults.ledger import Reconciliation
from tests.reliability.faults.matrix import FAULTS, Fault
from tests.reliability.faults.runner import Runner
from tests.reliability.faults.testbed import FaultTestbed
from tests.support.tools import missing


@pytest.fixture(scope="module")
def runner(testbed: FaultTestbed, request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Has the selected faults running before their tests ask."""
    specs = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    asked = [spec.params.get("fault") for spec in specs]  # other modules have parameters of this name too
    running = Runner(testbed, [fault for fault in FAULTS.values() if fault in asked])
    yield running
    running.close()


@pytest.mark.timeout(900)  # it may wait for others that run beside it, on a machine that has other work
@pytest.mark.parametrize(
    ("fault", "guarantee"),
    [
        pytest.param(fault, guarantee, id=f"{fault.name}, {guarantee}")
        for fault in sorted(FAULTS.values(), key=lambda fault: fault.shared)
        for guarantee in fault.guarantees
    ],
)
def test_no_fault_loses_or_doubles_anything(runner: Runner, fault: Fault, guarantee: str) -> None:
    """Every record is among scores and dead letters, alerts and state are those of a run without faults."""
    outcome = runner.outcome(fault, guarantee)
    if isinstance(outcome, ProxyMissingError):
        missing(f"no toxiproxy: {outcome.problem}", outcome.remedy)
    if not isinstance(outcome, Reconciliation):
        raise outcome
    assert outcome.records
    assert outcome.passed, "\n".join(outcome.problems)
