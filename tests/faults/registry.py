"""The register of faults: a name, what it does, and under which guarantees it makes sense."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.config import Settings
from tests.faults.bench import AT_LEAST_ONCE, EXACTLY_ONCE, Bench
from tests.faults.ledger import Account
from tests.faults.plant import Plant

BOTH = (AT_LEAST_ONCE, EXACTLY_ONCE) if "delivery" in Settings.model_fields else (AT_LEAST_ONCE,)
Run = Callable[[Bench, str], Account]


@dataclass(frozen=True, slots=True)
class Fault:
    """run: does everything under a guarantee, and gives the account."""

    name: str
    run: Run
    guarantees: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(name: str, guarantees: tuple[str, ...] = BOTH) -> Callable[[Run], Run]:
    """Registers a function that runs a fault as a whole."""

    def register(run: Run) -> Run:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, run, guarantees)
        return run

    return register


def harm(
    name: str, guarantees: tuple[str, ...] = BOTH, **sections: Any
) -> Callable[[Callable[[Plant, Bench], None]], Callable[[Plant, Bench], None]]:
    """Registers a function that harms a run over the steady feed; it may leave members running or none at all."""

    def register(function: Callable[[Plant, Bench], None]) -> Callable[[Plant, Bench], None]:
        def run(bench: Bench, guarantee: str) -> Account:
            laid = bench.steady()
            truth = bench.truth(laid)
            with bench.plant(laid, guarantee, **bench.paced(sections)) as plant:
                function(plant, bench)
                plant.finish()
                account = plant.settle(truth)
                if account.fine:
                    plant.remove()
            return account

        fault(name, guarantees)(run)
        return function

    return register
