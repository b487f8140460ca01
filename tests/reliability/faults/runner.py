"""Runs faults: isolated ones some at a time, shared ones alone, after the isolated ones."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from tests.reliability.faults.registry import Fault, Outcome
from tests.reliability.faults.testbed import FaultTestbed

AT_A_TIME = 2  # faults; each has a run for each guarantee


class Runner:
    """Begins with the isolated faults at once; `outcome` waits for the one it is asked for."""

    def __init__(self, testbed: FaultTestbed, faults: Sequence[Fault]) -> None:
        self._testbed = testbed
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._gentle: dict[str, Future[dict[str, Outcome]]] = {
            fault.name: self._pool.submit(fault.reconciliations, testbed) for fault in faults if not fault.shared
        }
        self._rough: dict[str, dict[str, Outcome]] = {}

    def outcome(self, fault: Fault, guarantee: str) -> Outcome:
        """What came of a fault under a guarantee."""
        if not fault.shared:
            return self._gentle[fault.name].result()[guarantee]
        wait(self._gentle.values())
        if fault.name not in self._rough:
            self._rough[fault.name] = fault.reconciliations(self._testbed)
        return self._rough[fault.name][guarantee]

    def close(self) -> None:
        """Lets those that run come to their end; the others do not begin."""
        self._pool.shutdown(cancel_futures=True)
