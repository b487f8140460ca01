"""The register of faults: a name, what it does, and under which guarantees it makes sense.

A gentle fault harms its own run only, and others may run beside it. A rough one harms what all share, the broker or the
network; its runs under both guarantees suffer it together.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from tests.reliability.faults.bench import AT_LEAST_ONCE, EXACTLY_ONCE, Bench
from tests.reliability.faults.ledger import Account
from tests.reliability.faults.plant import Plant

BOTH = (AT_LEAST_ONCE, EXACTLY_ONCE)
Outcome = Account | Exception
Run = Callable[[Bench, str], Account]
Harm = Callable[[Plant, Bench], None]
Strike = Callable[[Bench, Sequence[Plant]], None]
Weather = Callable[[Bench], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """accounts: runs it under all its guarantees and gives what came out of each."""

    name: str
    guarantees: tuple[str, ...]
    accounts: Callable[[Bench], dict[str, Outcome]]
    rough: bool = False


FAULTS: dict[str, Fault] = {}


def _register(fault: Fault) -> None:
    assert fault.name not in FAULTS, fault.name
    FAULTS[fault.name] = fault


def fault(name: str, guarantees: tuple[str, ...] = BOTH) -> Callable[[Run], Run]:
    """Registers a gentle fault that does everything by itself and gives the account."""

    def register(run: Run) -> Run:
        def attempt(bench: Bench, guarantee: str) -> Outcome:
            try:
                return run(bench, guarantee)
            except Exception as error:  # noqa: BLE001  # it belongs to this guarantee's row, not to the other's
                return error

        def accounts(bench: Bench) -> dict[str, Outcome]:
            with ThreadPoolExecutor(len(guarantees)) as pool:
                outcomes = pool.map(lambda guarantee: attempt(bench, guarantee), guarantees)
                return dict(zip(guarantees, outcomes, strict=True))

        _register(Fault(name, guarantees, accounts))
        return run

    return register


def harm(name: str, guarantees: tuple[str, ...] = BOTH, model: str = "pump", **sections: Any) -> Callable[[Harm], Harm]:
    """Registers a gentle fault over the steady feed. The function may leave members running or none at all."""

    def register(function: Harm) -> Harm:
        def run(bench: Bench, guarantee: str) -> Account:
            laid = bench.steady()
            truth = bench.truth(laid, model)
            with bench.plant(laid, guarantee, **bench.paced({"watch": [{"model": model}]} | sections)) as plant:
                function(plant, bench)
                plant.finish()
                return plant.settle(truth)

        fault(name, guarantees)(run)
        return function

    return register


def strike(name: str, *, proxied: bool = False) -> Callable[[Strike], Strike]:
    """Registers a rough fault that hits runs over the steady feed in their middle; they must go on afterwards."""

    def register(function: Strike) -> Strike:
        def accounts(bench: Bench) -> dict[str, Outcome]:
            with ExitStack() as stack:
                plants = _start(bench, stack, proxied=proxied)
                assert not any(plant.is_done() for plant in plants), "nothing was left to be harmed"
                function(bench, plants)
                return {plant.guarantee: _conclude(bench, plant) for plant in plants}

        _register(Fault(name, BOTH, accounts, rough=True))
        return function

    return register


def weather(name: str) -> Callable[[Weather], Weather]:
    """Registers a rough fault of the network that lasts as long as its runs."""

    def register(function: Weather) -> Weather:
        def accounts(bench: Bench) -> dict[str, Outcome]:
            with ExitStack() as stack:
                stack.enter_context(function(bench))
                plants = _start(bench, stack, proxied=True)
                return {plant.guarantee: _conclude(bench, plant) for plant in plants}

        _register(Fault(name, BOTH, accounts, rough=True))
        return function

    return register


def _start(bench: Bench, stack: ExitStack, *, proxied: bool) -> list[Plant]:
    laid = bench.steady()
    bench.truth(laid)
    sections = bench.paced({})
    plants = [stack.enter_context(bench.plant(laid, each, proxied=proxied, **sections)) for each in BOTH]
    for plant in plants:
        plant.start()
    for plant in plants:
        plant.works()
    return plants


def _conclude(bench: Bench, plant: Plant) -> Outcome:
    try:
        plant.finish()
        return plant.settle(bench.truth(bench.steady()))
    except Exception as error:  # noqa: BLE001  # it belongs to this guarantee's row, not to the other's
        return error
