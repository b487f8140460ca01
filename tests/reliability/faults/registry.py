"""The register of faults: a name, what it does, and under which guarantees it makes sense.

An isolated fault harms its own run only, and others may run beside it. A shared one harms the broker or the network;
its runs under both guarantees suffer it together.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.ledger import Reconciliation
from tests.reliability.faults.testbed import AT_LEAST_ONCE, EXACTLY_ONCE, FaultTestbed

BOTH = (AT_LEAST_ONCE, EXACTLY_ONCE)
Outcome = Reconciliation | Exception
Run = Callable[[FaultTestbed, str], Reconciliation]
RunFault = Callable[[DaemonRun, FaultTestbed], None]
SharedFault = Callable[[FaultTestbed, Sequence[DaemonRun]], None]
NetworkCondition = Callable[[FaultTestbed], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """reconciliations: runs it under all its guarantees and gives what came out of each."""

    name: str
    guarantees: tuple[str, ...]
    reconciliations: Callable[[FaultTestbed], dict[str, Outcome]]
    shared: bool = False


FAULTS: dict[str, Fault] = {}


def _register(fault: Fault) -> None:
    assert fault.name not in FAULTS, fault.name
    FAULTS[fault.name] = fault


def fault(name: str, guarantees: tuple[str, ...] = BOTH) -> Callable[[Run], Run]:
    """Registers an isolated fault that does everything by itself and gives what the comparison found."""

    def register(run: Run) -> Run:
        def attempt(testbed: FaultTestbed, guarantee: str) -> Outcome:
            try:
                return run(testbed, guarantee)
            except Exception as error:  # noqa: BLE001  # it belongs to this guarantee's row, not to the other's
                return error

        def reconciliations(testbed: FaultTestbed) -> dict[str, Outcome]:
            with ThreadPoolExecutor(len(guarantees)) as pool:
                outcomes = pool.map(lambda guarantee: attempt(testbed, guarantee), guarantees)
                return dict(zip(guarantees, outcomes, strict=True))

        _register(Fault(name, guarantees, reconciliations))
        return run

    return register


def run_fault(
    name: str, guarantees: tuple[str, ...] = BOTH, model: str = "pump", **sections: Any
) -> Callable[[RunFault], RunFault]:
    """Registers an isolated fault over the steady feed. The function may leave members running or none at all."""

    def register(function: RunFault) -> RunFault:
        def run(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
            feed_topic = testbed.steady()
            baseline = testbed.baseline(feed_topic, model)
            with testbed.daemons(
                feed_topic, guarantee, **testbed.paced({"watch": [{"model": model}]} | sections)
            ) as daemons:
                function(daemons, testbed)
                daemons.finish()
                return daemons.reconcile(baseline)

        fault(name, guarantees)(run)
        return function

    return register


def shared_fault(name: str, *, proxied: bool = False) -> Callable[[SharedFault], SharedFault]:
    """Registers a shared fault that hits runs over the steady feed in their middle; they must go on afterwards."""

    def register(function: SharedFault) -> SharedFault:
        def reconciliations(testbed: FaultTestbed) -> dict[str, Outcome]:
            with ExitStack() as stack:
                runs = _start(testbed, stack, proxied=proxied)
                assert not any(daemons.is_done() for daemons in runs), "nothing was left to be harmed"
                function(testbed, runs)
                return {daemons.guarantee: _conclude(testbed, daemons) for daemons in runs}

        _register(Fault(name, BOTH, reconciliations, shared=True))
        return function

    return register


def network_condition(name: str) -> Callable[[NetworkCondition], NetworkCondition]:
    """Registers a shared fault of the network that lasts as long as its runs."""

    def register(function: NetworkCondition) -> NetworkCondition:
        def reconciliations(testbed: FaultTestbed) -> dict[str, Outcome]:
            with ExitStack() as stack:
                stack.enter_context(function(testbed))
                runs = _start(testbed, stack, proxied=True)
                return {daemons.guarantee: _conclude(testbed, daemons) for daemons in runs}

        _register(Fault(name, BOTH, reconciliations, shared=True))
        return function

    return register


def _start(testbed: FaultTestbed, stack: ExitStack, *, proxied: bool) -> list[DaemonRun]:
    feed_topic = testbed.steady()
    testbed.baseline(feed_topic)
    sections = testbed.paced({})
    runs = [stack.enter_context(testbed.daemons(feed_topic, each, proxied=proxied, **sections)) for each in BOTH]
    for daemons in runs:
        daemons.start()
    for daemons in runs:
        daemons.works()
    return runs


def _conclude(testbed: FaultTestbed, daemons: DaemonRun) -> Outcome:
    try:
        daemons.finish()
        return daemons.reconcile(testbed.baseline(testbed.steady()))
    except Exception as error:  # noqa: BLE001  # it belongs to this guarantee's row, not to the other's
        return error
