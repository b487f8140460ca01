"""One lap of each contestant and of the daemon over the same topic."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient

from benchmarks.speed.setup import BenchmarkSetup, alerts_topic, daemon, unique
from deploy.local.process import DaemonEndedError, DaemonProcess
from detector.errors import WatchkeeperError

SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """One lap."""

    records: int
    seconds: float
    cpu_s: float
    peak_mib: float
    alerts: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def processor_s_per_million(self) -> float:
        """Processor time in seconds per million records."""
        return self.cpu_s / self.records * 1e6


def contestant(name: str, setup: BenchmarkSetup, topic: str, records: int) -> Result:
    """Runs a loop of benchmarks/speed/contestants as a process; it times itself from its first poll."""
    group = unique(name)
    options = {
        "bootstrap": setup.bootstrap,
        "topic": topic,
        "records": records,
        "alerts": "contestants.alerts",
        "group": group,
        "graph": setup.graph,
        "threshold": setup.threshold,
    }
    arguments = [f"--{key}={value}" for key, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.speed.contestants.{name}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise WatchkeeperError(f"the {name} loop failed", done.stderr.strip().splitlines()[-1][:300])
    return Result(**json.loads(done.stdout))


def daemon_lap(
    setup: BenchmarkSetup, topic: str, records: int, checkout: Path | None = None, **sections: Any
) -> Result:
    """Runs the daemon over the topic, from its first batch until all offsets are committed by its stop.

    The clock starts when /metrics first shows records: start-up and joining the group are not counted, neither are
    the records of that first batch. It is asked ten times a second, which is the resolution and slightly against it.
    """
    name = unique("daemon")
    alarms = {"on_delay_s": 2.0, "off_delay_s": 5.0}
    with daemon(setup, topic, name, alarms=alarms, checkout=checkout, **sections) as process:
        first, begun, used = _await_records(process, 1)
        last, ended, spent = _await_records(process, records)
        peak, alerts = process.peak_mib(), process.metric("watchkeeper_alerts_total")
        code = process.stop()
        if code:
            raise DaemonEndedError(f"the daemon ended with {code}", process.last_words())
    _check_committed(setup, name, topic, records)
    if last == first:
        raise WatchkeeperError("the daemon was through before it could be timed", "give more --records")
    return Result(int(last - first), ended - begun, spent - used, peak, int(alerts))


def _await_records(process: DaemonProcess, records: int, within_s: float = 600.0) -> tuple[float, float, float]:
    """Waits until so many records were processed; gives their number, the time and the processor time used."""
    process.wait_ready()
    deadline = time.perf_counter() + within_s
    while (seen := process.metric("watchkeeper_records_total")) < records:
        if time.perf_counter() > deadline:
            raise DaemonEndedError(f"the daemon took {seen:.0f} of {records} records", process.last_words())
        time.sleep(SAMPLE_S)
    return seen, time.perf_counter(), process.processor_s()


def _check_committed(setup: BenchmarkSetup, group: str, topic: str, records: int) -> None:
    """A rate is worth nothing when offsets were left behind, or when nothing was found."""
    admin = KafkaAdminClient(bootstrap_servers=setup.bootstrap)
    try:
        offsets = admin.list_group_offsets({group: None})[group]
    finally:
        admin.close()
    done = sum(entry.offset for place, entry in offsets.items() if place.topic == topic)
    if done != records:
        raise WatchkeeperError(f"the daemon committed {done} of {records} records", f"see {alerts_topic(group)}")
