"""The short form of the fault matrix: every fault once under each guarantee, over the ledger."""

import pytest

from tests.faults.bench import Bench
from tests.faults.matrix import FAULTS, Fault


@pytest.mark.parametrize(
    ("fault", "guarantee"),
    [
        pytest.param(fault, guarantee, id=f"{fault.name}, {guarantee}")
        for fault in FAULTS.values()
        for guarantee in fault.guarantees
    ],
)
def test_no_fault_loses_or_doubles_anything(bench: Bench, fault: Fault, guarantee: str) -> None:
    """Every record is among scores and dead letters, alerts and state are those of a run without faults."""
    account = fault.run(bench, guarantee)
    assert account.records
    assert account.fine, "\n".join(account.complaints)
