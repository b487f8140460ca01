"""Faults of the daemon's own processes: killed, stopped, frozen, added and taken away."""

import random
import signal
import time

from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.failpoints import Failpoint
from tests.reliability.faults.registry import run_fault
from tests.reliability.faults.testbed import FaultTestbed


@run_fault("SIGKILL at random")
def sigkill_at_random(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """At any moment: while it starts, restores, works or commits."""
    for number in range(testbed.kills):
        if daemons.is_done():
            break
        daemons.start()
        if number % 3:
            daemons.works()
        time.sleep(random.uniform(0.0, 1.5))
        daemons.kill()


def _killed_at(daemons: DaemonRun, testbed: FaultTestbed, failpoints: list[Failpoint]) -> None:
    for number in range(max(1, testbed.kills // 2)):
        daemons.start(failpoint=failpoints[number % len(failpoints)])
        if not daemons.struck():
            break
    assert daemons.kills, "the failpoint never struck"


@run_fault("SIGKILL at step 1: polled")
def killed_after_poll(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Records were taken, nothing was made of them."""
    _killed_at(daemons, testbed, [Failpoint("poll", "after", occasion) for occasion in (6, 3, 9)])


@run_fault("SIGKILL at step 2: processed")
def killed_after_process(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """The outcome is there, nothing of it was sent."""
    _killed_at(daemons, testbed, [Failpoint("send:dead_letters", "before", occasion) for occasion in (1, 30, 60)])


@run_fault("SIGKILL at step 3: half produced")
def killed_in_produce(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Some outputs of a poll are on their way, the others never will be."""
    failpoints = [
        Failpoint("send:scores", "after", 30),
        Failpoint("send:alerts", "after", 2),
        Failpoint("send:scores", "after", 90),
    ]
    _killed_at(daemons, testbed, failpoints)


@run_fault("SIGKILL at step 4: deliveries not awaited")
def killed_before_flush(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Outputs were handed over and perhaps delivered; nobody knows."""
    _killed_at(daemons, testbed, [Failpoint("flush", "before", occasion) for occasion in (1, 3, 2)])


@run_fault("SIGKILL at step 5: state half written")
def killed_in_state(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Some buckets of the checkpoint are newer than its marker."""
    _killed_at(daemons, testbed, [Failpoint("send:state", "after", occasion) for occasion in (9, 4, 30)])


@run_fault("SIGKILL at step 5: state written, offsets not")
def killed_before_commit(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """The checkpoint is complete, the group's offsets are older."""
    _killed_at(daemons, testbed, [Failpoint("commit", "before", occasion) for occasion in (1, 2, 3)])


@run_fault("SIGKILL at step 6: committed")
def killed_after_commit(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Everything of the tick is done, but for what was pending."""
    _killed_at(daemons, testbed, [Failpoint("commit", "after", occasion) for occasion in (1, 2, 3)])


@run_fault("SIGKILL while it restores")
def killed_in_restore(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """A successor that dies over its predecessor's state leaves it as it was."""
    daemons.start()
    daemons.works()
    daemons.kill()
    failpoints = [Failpoint("restore", "after", 2), Failpoint("resume", "after", 1), Failpoint("restore", "before", 4)]
    for number in range(max(1, testbed.kills // 2)):
        daemons.start(failpoint=failpoints[number % len(failpoints)])
        if not daemons.struck():
            break


@run_fault("SIGTERM under load")
def sigterm_under_load(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Stopped in an orderly way again and again: exit code 0 each time, and nothing is read twice."""
    for _ in range(testbed.kills):
        if daemons.is_done():
            break
        daemons.start()
        daemons.works()
        daemons.stop()


@run_fault("SIGKILL right after SIGTERM")
def killed_while_it_drains(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """The supervisor's patience ends in the middle of the drain."""
    for number in range(testbed.kills):
        if daemons.is_done():
            break
        daemons.start()
        daemons.works()
        daemons.members["a"].signal(signal.SIGTERM)
        time.sleep(0.02 * number)
        daemons.kill()


@run_fault("members added and removed under load")
def members_come_and_go(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Partitions wander: members join one by one, leave in an orderly way, and die."""
    daemons.start("a")
    daemons.works("a")
    daemons.start("b")
    daemons.start("c")
    daemons.works("b", 0)
    daemons.stop("a")
    daemons.kill("b")
    daemons.start("a")
    daemons.works("a", 0)
    daemons.stop("c")


@run_fault(
    "SIGSTOP beyond max.poll.interval, then the zombie resumes",
    kafka={"max_poll_interval_s": 3, "session_timeout_s": 3},
)
def zombie(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Frozen until another has taken over its partitions; it wakes with outputs in hand that are not its any more."""
    daemons.start("a")
    daemons.works("a")
    daemons.members["a"].signal(signal.SIGSTOP)
    daemons.start("b")
    daemons.works("b")
    time.sleep(1.0)
    daemons.members["a"].signal(signal.SIGCONT)


@run_fault(
    "SIGSTOP before the commit, then the zombie commits", kafka={"max_poll_interval_s": 3, "session_timeout_s": 3}
)
def zombie_commits(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Frozen with everything sent and nothing committed; its commit comes after its successor's."""
    daemons.start("a", Failpoint("commit", "before", 2, "stop"))
    daemons.frozen("a")
    time.sleep(3.0)
    daemons.start("b")
    daemons.works("b")
    time.sleep(1.0)
    daemons.members["a"].signal(signal.SIGCONT)


@run_fault("a member without a name leaves, another joins", kafka={"instance": None})
def without_names(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Nobody finds what a member without kafka.instance left open: its successors wait for the broker to end it."""
    daemons.start("a")
    daemons.works("a")
    daemons.start("b")
    daemons.kill("a")
    daemons.start("c")
    daemons.works("c", 0)
    daemons.stop("b")
