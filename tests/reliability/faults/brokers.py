"""Faults of the broker: killed, restarted, frozen, refusing."""

import signal
import time
from collections.abc import Sequence

from tests.reliability.faults import feed
from tests.reliability.faults.bench import EXACTLY_ONCE, Bench
from tests.reliability.faults.ledger import Account
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import fault, harm, strike
from tests.support.kafka_client import eventually

# A compacted topic takes no record without a key, and the feed's unreadable records have none.
REFUSE, TAKE = {"cleanup.policy": "compact"}, {"cleanup.policy": "delete"}
TOO_SMALL, LARGE = {"max.message.bytes": "100"}, {"max.message.bytes": "1048588"}


@strike("broker SIGKILL and restart")
def broker_killed(bench: Bench, _plants: Sequence[Plant]) -> None:
    """The broker dies in the middle of a run and comes back with what it had on its disk."""
    bench.broker.kill()
    time.sleep(1.0)
    bench.broker.start()


@strike("broker restarted: coordinators move away and come back")
def broker_restarted(bench: Bench, _plants: Sequence[Plant]) -> None:
    """An orderly restart: the coordinators of group and transaction are elsewhere, then loading."""
    bench.broker.restart()


@strike("broker SIGSTOP")
def broker_frozen(bench: Bench, _plants: Sequence[Plant]) -> None:
    """The broker neither answers nor closes a connection, then goes on as if nothing had been."""
    bench.broker.freeze()
    time.sleep(bench.outage_s)
    bench.broker.thaw()


@strike("broker and daemon killed together")
def both_killed(bench: Bench, plants: Sequence[Plant]) -> None:
    """A power cut, as far as one machine can have half of one."""
    bench.broker.kill()
    for plant in plants:
        plant.kill()
    bench.broker.start()


@harm("produce fails inside a transaction")
def produce_fails(plant: Plant, bench: Bench) -> None:
    """The broker refuses dead letters for a while, with an error that no retry of the client's mends: an abort."""
    plant.start()
    plant.works()
    bench.cluster.configure(f"{plant.run}.dead_letters", REFUSE)
    eventually(lambda: plant.metric("interruptions_total") > 1 or plant.is_done(), what="two interruptions")
    bench.cluster.configure(f"{plant.run}.dead_letters", TAKE)


@harm("rebalance right after an abort")
def rebalance_after_abort(plant: Plant, bench: Bench) -> None:
    """A second member comes and goes while the first is picking itself up."""
    bench.cluster.configure(f"{plant.run}.dead_letters", REFUSE)
    plant.start("a").wait_ready()
    plant.start("b")
    eventually(lambda: plant.metric("interruptions_total", "a") > 0, what="an interruption")
    bench.cluster.configure(f"{plant.run}.dead_letters", TAKE)
    plant.works("b", 0)
    plant.kill("b")


@harm("dead-letter topic unavailable")
def dead_letters_unavailable(plant: Plant, bench: Bench) -> None:
    """Nothing may be committed past a record that has no place to go."""
    bench.cluster.configure(f"{plant.run}.dead_letters", REFUSE)
    plant.start()
    time.sleep(6.0)
    assert not plant.is_done()
    bench.cluster.configure(f"{plant.run}.dead_letters", TAKE)


@harm("alerts topic takes no alert")
def alerts_too_large(plant: Plant, bench: Bench) -> None:
    """What no waiting mends ends the daemon with one line; a supervisor and a person bring it back."""
    _end_for_good(plant, bench, "alerts")


@harm("state topic takes no state")
def state_too_large(plant: Plant, bench: Bench) -> None:
    """Outputs without their checkpoint count as nothing."""
    _end_for_good(plant, bench, "state")


def _end_for_good(plant: Plant, bench: Bench, role: str) -> None:
    bench.cluster.configure(f"{plant.run}.{role}", TOO_SMALL)
    plant.start()
    eventually(lambda: plant.members["a"].exit_code is not None, what="the end")
    bench.cluster.configure(f"{plant.run}.{role}", LARGE)


@fault("coordinator forgets the transaction", (EXACTLY_ONCE,))
def coordinator_forgets(bench: Bench, guarantee: str) -> Account:
    """A daemon that was away so long that the broker dropped its transactional id begins anew with another epoch."""
    forgetful = {
        "transactional.id.expiration.ms": "4000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    }
    with Bench(bench.folder / bench.name("forgetful"), feed.SHORT, properties=forgetful) as own:
        laid = own.steady()
        truth = own.truth(laid)
        with own.plant(laid, guarantee, **own.spread({"kafka": {"transaction_timeout_s": 3}})) as plant:
            member = plant.start()
            plant.works()
            member.signal(signal.SIGSTOP)
            time.sleep(12.0)
            assert not plant.is_done()
            member.signal(signal.SIGCONT)
            plant.finish()
            return plant.settle(truth)
