"""Faults of the daemon's own processes: killed, stopped, frozen, added and taken away."""

import random
import signal
import time

from tests.reliability.faults.bench import Bench
from tests.reliability.faults.failpoints import Trap
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import harm


@harm("SIGKILL at random")
def sigkill_at_random(plant: Plant, bench: Bench) -> None:
    """At any moment: while it starts, restores, works or commits."""
    for number in range(bench.kills):
        if plant.is_done():
            break
        plant.start()
        if number % 3:
            plant.works()
        time.sleep(random.uniform(0.0, 1.5))
        plant.kill()


def _killed_at(plant: Plant, bench: Bench, traps: list[Trap]) -> None:
    for number in range(max(1, bench.kills // 2)):
        plant.start(trap=traps[number % len(traps)])
        if not plant.snapped():
            break
    assert plant.kills, "the trap never snapped"


@harm("SIGKILL at step 1: polled")
def killed_after_poll(plant: Plant, bench: Bench) -> None:
    """Records were taken, nothing was made of them."""
    _killed_at(plant, bench, [Trap("poll", "after", occasion) for occasion in (6, 3, 9)])


@harm("SIGKILL at step 2: processed")
def killed_after_process(plant: Plant, bench: Bench) -> None:
    """The outcome is there, nothing of it was sent."""
    _killed_at(plant, bench, [Trap("send:dead_letters", "before", occasion) for occasion in (1, 30, 60)])


@harm("SIGKILL at step 3: half produced")
def killed_in_produce(plant: Plant, bench: Bench) -> None:
    """Some outputs of a poll are on their way, the others never will be."""
    traps = [Trap("send:scores", "after", 30), Trap("send:alerts", "after", 2), Trap("send:scores", "after", 90)]
    _killed_at(plant, bench, traps)


@harm("SIGKILL at step 4: deliveries not awaited")
def killed_before_flush(plant: Plant, bench: Bench) -> None:
    """Outputs were handed over and perhaps delivered; nobody knows."""
    _killed_at(plant, bench, [Trap("flush", "before", occasion) for occasion in (1, 3, 2)])


@harm("SIGKILL at step 5: state half written")
def killed_in_state(plant: Plant, bench: Bench) -> None:
    """Some buckets of the checkpoint are newer than its marker."""
    _killed_at(plant, bench, [Trap("send:state", "after", occasion) for occasion in (9, 4, 30)])


@harm("SIGKILL at step 5: state written, offsets not")
def killed_before_commit(plant: Plant, bench: Bench) -> None:
    """The checkpoint is complete, the group's offsets are older."""
    _killed_at(plant, bench, [Trap("commit", "before", occasion) for occasion in (1, 2, 3)])


@harm("SIGKILL at step 6: committed")
def killed_after_commit(plant: Plant, bench: Bench) -> None:
    """Everything of the tick is done, but for what was pending."""
    _killed_at(plant, bench, [Trap("commit", "after", occasion) for occasion in (1, 2, 3)])


@harm("SIGKILL while it restores")
def killed_in_restore(plant: Plant, bench: Bench) -> None:
    """A successor that dies over its predecessor's state leaves it as it was."""
    plant.start()
    plant.works()
    plant.kill()
    traps = [Trap("restore", "after", 2), Trap("resume", "after", 1), Trap("restore", "before", 4)]
    for number in range(max(1, bench.kills // 2)):
        plant.start(trap=traps[number % len(traps)])
        if not plant.snapped():
            break


@harm("SIGTERM under load")
def sigterm_under_load(plant: Plant, bench: Bench) -> None:
    """Stopped in an orderly way again and again: exit code 0 each time, and nothing is read twice."""
    for _ in range(bench.kills):
        if plant.is_done():
            break
        plant.start()
        plant.works()
        plant.stop()


@harm("SIGKILL right after SIGTERM")
def killed_while_it_drains(plant: Plant, bench: Bench) -> None:
    """The supervisor's patience ends in the middle of the drain."""
    for number in range(bench.kills):
        if plant.is_done():
            break
        plant.start()
        plant.works()
        plant.members["a"].signal(signal.SIGTERM)
        time.sleep(0.02 * number)
        plant.kill()


@harm("members added and removed under load")
def members_come_and_go(plant: Plant, bench: Bench) -> None:
    """Partitions wander: members join one by one, leave in an orderly way, and die."""
    plant.start("a")
    plant.works("a")
    plant.start("b")
    plant.start("c")
    plant.works("b", 0)
    plant.stop("a")
    plant.kill("b")
    plant.start("a")
    plant.works("a", 0)
    plant.stop("c")


@harm(
    "SIGSTOP beyond max.poll.interval, then the zombie resumes",
    kafka={"max_poll_interval_s": 3, "session_timeout_s": 3},
)
def zombie(plant: Plant, bench: Bench) -> None:
    """Frozen until another has taken over its partitions; it wakes with outputs in hand that are not its any more."""
    plant.start("a")
    plant.works("a")
    plant.members["a"].signal(signal.SIGSTOP)
    plant.start("b")
    plant.works("b")
    time.sleep(1.0)
    plant.members["a"].signal(signal.SIGCONT)


@harm("SIGSTOP before the commit, then the zombie commits", kafka={"max_poll_interval_s": 3, "session_timeout_s": 3})
def zombie_commits(plant: Plant, bench: Bench) -> None:
    """Frozen with everything sent and nothing committed; its commit comes after its successor's."""
    plant.start("a", Trap("commit", "before", 2, "stop"))
    plant.frozen("a")
    time.sleep(3.0)
    plant.start("b")
    plant.works("b")
    time.sleep(1.0)
    plant.members["a"].signal(signal.SIGCONT)


@harm("a member without a name leaves, another joins", kafka={"instance": None})
def without_names(plant: Plant, bench: Bench) -> None:
    """Nobody finds what a member without kafka.instance left open: its successors wait for the broker to end it."""
    plant.start("a")
    plant.works("a")
    plant.start("b")
    plant.kill("a")
    plant.start("c")
    plant.works("c", 0)
    plant.stop("b")
