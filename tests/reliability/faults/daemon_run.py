"""One run: a group and output topics of its own over a feed that lies there, and the daemons, each a real process."""

import json
import shutil
import signal
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.local.broker import free_port
from deploy.local.process import RUN, DaemonProcess
from tests.reliability.faults.failpoints import Failpoint
from tests.reliability.faults.ledger import ROLES, Place, Reconciliation, RunOutputs, read_outputs, reconcile
from tests.support.installation import install
from tests.support.kafka_client import Cluster, Message, eventually

BROKER_FAULT = 5  # the daemon's exit code; a supervisor starts it again
# What a run is configured with. Silence is told by the wall clock, and no two runs have the same one.
SECTIONS: dict[str, Any] = {
    "watch": [{"model": "pump"}],
    "scores": {"emit": "all"},
    "alarms": {"silent_after_s": 1e9},
    "limits": {"checkpoint_s": 0.4, "broker_wait_s": 60, "delivery_timeout_s": 10},
}
# Shorter than in a plant: what a fault takes to be noticed, a test has to wait for.
KAFKA = {"session_timeout_s": 5, "request_timeout_s": 5, "transaction_timeout_s": 8}
# In a long feed: many polls between two checkpoints, so that a kill finds much that was sent and not committed.
FINE = {"poll_records": 1000, "checkpoint_s": 1.5}
# Small fetches far apart spread a short feed over seconds: there must be a middle to be killed in.
SLOW = {"max_partition_fetch_bytes": 16_384}
PACED = {"poll_records": 100_000, "poll_interval_ms": 400}


class DaemonRun:
    """A context that leaves no process behind. Members are named; each has its own configuration, port and log."""

    def __init__(
        self, cluster: Cluster, folder: Path, store: Path, topic: str, ends: dict[int, int], run: str, guarantee: str,
        sections: dict[str, Any],
    ) -> None:  # fmt: skip
        self.cluster, self.folder, self.run, self.guarantee, self.ends = cluster, folder, run, guarantee, dict(ends)
        merged = {key: SECTIONS.get(key, {}) | value if isinstance(value, dict) else value
                  for key, value in sections.items() if key != "kafka"}  # fmt: skip
        self._kafka = sections.get("kafka", {})
        self._is_long = sections.get("feed", {}).get("form") == "long"
        self.place = install(cluster, folder, store, topic=topic, group=run, **(SECTIONS | merged))
        self.members: dict[str, DaemonProcess] = {}
        self._wanted: set[str] = set()  # members that should run
        self.kills = 0
        self.deaths: list[str] = []  # members that ended although nobody harmed them
        self.starts_s: list[float] = []
        self._fine = False  # what a run that failed left behind stays, to be looked at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members.values():
            member.kill()
        if self._fine:
            self._remove()

    def start(self, name: str = "a", failpoint: Failpoint | None = None) -> DaemonProcess:
        """Starts a member, or starts it again."""
        member = self._member(name, failpoint)
        self.starts_s.append(time.time())
        member.start()
        self.members[name] = member
        self._wanted.add(name)
        return member

    def kill(self, name: str = "a") -> None:
        """SIGKILL."""
        self.members[name].kill()
        self._wanted.discard(name)
        self.kills += 1

    def struck(self, name: str = "a", within_s: float = 90.0) -> bool:
        """Waits for a member's failpoint; False where the run ended before the failpoint's occasion came."""
        member = self.members[name]
        eventually(lambda: member.exit_code is not None or self.is_done(), within_s, "the failpoint or the end")
        if member.exit_code != -signal.SIGKILL:
            return False
        self._wanted.discard(name)
        self.kills += 1
        return True

    def frozen(self, name: str = "a") -> None:
        """Waits until a failpoint has stopped a member."""
        stat = Path(f"/proc/{self.members[name].pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 90, "the failpoint")

    def stop(self, name: str = "a") -> None:
        """SIGTERM; the exit code must be 0."""
        self._wanted.discard(name)
        self.members[name].wait_ready()  # before that, nothing handles the signal yet
        assert self.members[name].stop() == 0, self.members[name].last_words()

    def works(self, name: str = "a", records: int = 1) -> None:
        """Waits until a member has processed so many records since its start, or the run is done."""
        self.members[name].wait_ready()
        eventually(lambda: self.metric("records_total", name) >= records or self.is_done(), 90, "records")

    def metric(self, name: str, member: str = "a", **labels: str) -> float:
        """One of the daemon's metrics, without the prefix."""
        return self.members[member].metric(f"watchkeeper_{name}", **labels)

    def is_done(self) -> bool:
        """Whether everything is committed. A broker that is away has committed nothing new."""
        try:
            committed = self.cluster.committed(self.run, self.place.topic)
        except KafkaError:
            return False
        return all(committed.get(partition, 0) >= end for partition, end in self.ends.items() if end)

    def finish(self) -> None:
        """Sees to it that a healthy member goes on to the end of the feed; then all stop in an orderly way.

        A member that loses a partition may commit its end just before its successor commits less: at least once, that
        is read again. So the end counts when nobody is left to commit anything.
        """
        done = False
        while not done:
            self.await_done()
            for name in sorted(self._wanted):
                self.stop(name)
            done = self.is_done()

    def await_done(self, within_s: float = 300.0) -> None:
        """Waits until everything is committed, as a supervisor does; starts a member where none runs."""
        if not self._wanted and not self.is_done():
            self.start()
        deadline = time.monotonic() + within_s
        while not self.is_done():
            self._supervise()
            assert time.monotonic() < deadline, f"{self.run} stands still: {self.last_words()}"
            time.sleep(0.2)

    def outputs(self) -> RunOutputs:
        """What the run left behind."""
        return read_outputs(self.cluster, self.run)

    def control(self, *values: bytes | None) -> None:
        """Writes to the run's control topic."""
        self.cluster.produce(f"{self.run}.control", [Message(value) for value in values])

    def reconcile(
        self, baseline: RunOutputs, gone: Collection[Place] = (), outputs: RunOutputs | None = None
    ) -> Reconciliation:
        """Compares with the fault-free outputs. outputs: the run's own, where they were read already."""
        exactly = self.guarantee == "exactly_once"
        # Of long records a row stands at its last value: which these are, the fault-free run says.
        due = baseline.entries.keys() if self._is_long else None
        found = outputs or self.outputs()
        reconciliation = reconcile(found, baseline, self.ends, self.starts_s, exactly, gone, due)
        reconciliation = replace(reconciliation, kills=self.kills, deaths=len(self.deaths))
        self._fine = reconciliation.passed
        assert "Traceback" not in self.log(), self.log()[-3000:]
        return reconciliation

    def log(self) -> str:
        """What all members said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def last_words(self) -> str:
        """Each member's last line."""
        return "; ".join(f"{name}: {member.last_words()}" for name, member in self.members.items())

    def _remove(self) -> None:
        """Hundreds of runs share one broker and one disk."""
        admin = KafkaAdminClient(bootstrap_servers=self.cluster.bootstrap)
        try:
            admin.delete_topics([f"{self.run}.{role}" for role in (*ROLES, "control")])
        finally:
            admin.close()
        shutil.rmtree(self.folder)

    def _supervise(self) -> None:
        """Does what systemd does: a member that ended because of the broker is started again."""
        for name in sorted(self._wanted):
            code = self.members[name].exit_code
            if code is None:
                continue
            assert code == BROKER_FAULT, f"{name} ended with {code}: {self.members[name].last_words()}"
            self.deaths.append(self.members[name].last_words())
            self.start(name)

    def _member(self, name: str, failpoint: Failpoint | None) -> DaemonProcess:
        port = self.members[name].port if name in self.members else free_port()
        document = yaml.safe_load(self.place.config.read_text())
        document["kafka"] |= KAFKA | {"instance": f"{self.run}-{name}"} | self._kafka
        document |= {"http": {"port": port}, "delivery": self.guarantee}
        config = self.folder / f"{name}.yaml"
        config.write_text(json.dumps(document))
        program = RUN if failpoint is None else failpoint.program
        return DaemonProcess(config, port, self.folder / f"{name}.log", program=program)
