"""Runs faults: gentle ones some at a time, rough ones alone, after the gentle ones."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from tests.reliability.faults.bench import Bench
from tests.reliability.faults.registry import Fault, Outcome

AT_A_TIME = 2  # faults; each has a run for each guarantee


class Runner:
    """Begins with the gentle faults at once; `outcome` waits for the one it is asked for."""

    def __init__(self, bench: Bench, faults: Sequence[Fault]) -> None:
        self._bench = bench
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._gentle: dict[str, Future[dict[str, Outcome]]] = {
            fault.name: self._pool.submit(fault.accounts, bench) for fault in faults if not fault.rough
        }
        self._rough: dict[str, dict[str, Outcome]] = {}

    def outcome(self, fault: Fault, guarantee: str) -> Outcome:
        """What came of a fault under a guarantee."""
        if not fault.rough:
            return self._gentle[fault.name].result()[guarantee]
        wait(self._gentle.values())
        if fault.name not in self._rough:
            self._rough[fault.name] = fault.accounts(self._bench)
        return self._rough[fault.name][guarantee]

    def close(self) -> None:
        """Lets those that run come to their end; the others do not begin."""
        self._pool.shutdown(cancel_futures=True)
