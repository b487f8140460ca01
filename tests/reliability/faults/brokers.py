"""Faults of the broker: killed, restarted, frozen, refusing."""

import signal
import time
from collections.abc import Sequence

from tests.reliability.faults import feed
from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.ledger import Reconciliation
from tests.reliability.faults.registry import fault, run_fault, shared_fault
from tests.reliability.faults.testbed import EXACTLY_ONCE, FaultTestbed
from tests.support.kafka_client import eventually

# A compacted topic takes no record without a key, and the feed's unreadable records have none.
REFUSE, TAKE = {"cleanup.policy": "compact"}, {"cleanup.policy": "delete"}
TOO_SMALL, LARGE = {"max.message.bytes": "100"}, {"max.message.bytes": "1048588"}


@shared_fault("broker SIGKILL and restart")
def broker_killed(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """The broker dies in the middle of a run and comes back with what it had on its disk."""
    testbed.broker.kill()
    time.sleep(1.0)
    testbed.broker.start()


@shared_fault("broker restarted: coordinators move away and come back")
def broker_restarted(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """An orderly restart: the coordinators of group and transaction are elsewhere, then loading."""
    testbed.broker.restart()


@shared_fault("broker SIGSTOP")
def broker_frozen(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """The broker neither answers nor closes a connection, then goes on as if nothing had been."""
    testbed.broker.freeze()
    time.sleep(testbed.outage_s)
    testbed.broker.thaw()


@shared_fault("broker and daemon killed together")
def both_killed(testbed: FaultTestbed, runs: Sequence[DaemonRun]) -> None:
    """A power cut, as far as one machine can have half of one."""
    testbed.broker.kill()
    for daemons in runs:
        daemons.kill()
    testbed.broker.start()


@run_fault("produce fails inside a transaction")
def produce_fails(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """The broker refuses dead letters for a while, with an error that no retry of the client's mends: an abort."""
    daemons.start()
    daemons.works()
    testbed.cluster.configure(f"{daemons.run}.dead_letters", REFUSE)
    eventually(lambda: daemons.metric("interruptions_total") > 1 or daemons.is_done(), what="two interruptions")
    testbed.cluster.configure(f"{daemons.run}.dead_letters", TAKE)


@run_fault("rebalance right after an abort")
def rebalance_after_abort(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """A second member comes and goes while the first is picking itself up."""
    testbed.cluster.configure(f"{daemons.run}.dead_letters", REFUSE)
    daemons.start("a").wait_ready()
    daemons.start("b")
    eventually(lambda: daemons.metric("interruptions_total", "a") > 0, what="an interruption")
    testbed.cluster.configure(f"{daemons.run}.dead_letters", TAKE)
    daemons.works("b", 0)
    daemons.kill("b")


@run_fault("dead-letter topic unavailable")
def dead_letters_unavailable(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Nothing may be committed past a record that has no place to go."""
    testbed.cluster.configure(f"{daemons.run}.dead_letters", REFUSE)
    daemons.start()
    time.sleep(6.0)
    assert not daemons.is_done()
    testbed.cluster.configure(f"{daemons.run}.dead_letters", TAKE)


@run_fault("alerts topic takes no alert")
def alerts_too_large(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """What no waiting mends ends the daemon with one line; a supervisor and a person bring it back."""
    _end_for_good(daemons, testbed, "alerts")


@run_fault("state topic takes no state")
def state_too_large(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Outputs without their checkpoint count as nothing."""
    _end_for_good(daemons, testbed, "state")


def _end_for_good(daemons: DaemonRun, testbed: FaultTestbed, role: str) -> None:
    testbed.cluster.configure(f"{daemons.run}.{role}", TOO_SMALL)
    daemons.start()
    eventually(lambda: daemons.members["a"].exit_code is not None, what="the end")
    testbed.cluster.configure(f"{daemons.run}.{role}", LARGE)


@fault("coordinator forgets the transaction", (EXACTLY_ONCE,))
def coordinator_forgets(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
    """A daemon that was away so long that the broker dropped its transactional id begins anew with another epoch."""
    forgetful = {
        "transactional.id.expiration.ms": "4000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    }
    with FaultTestbed(testbed.folder / testbed.name("forgetful"), feed.SHORT, properties=forgetful) as own:
        feed_topic = own.steady()
        baseline = own.baseline(feed_topic)
        with own.daemons(feed_topic, guarantee, **own.spread({"kafka": {"transaction_timeout_s": 3}})) as daemons:
            member = daemons.start()
            daemons.works()
            member.signal(signal.SIGSTOP)
            time.sleep(12.0)
            assert not daemons.is_done()
            member.signal(signal.SIGCONT)
            daemons.finish()
            return daemons.reconcile(baseline)
