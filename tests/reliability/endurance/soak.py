"""A soak: one daemon lives through mixed faults under load, and holds no more at the end than at the beginning."""

import itertools
import json
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.speed.figures import Figure
from benchmarks.speed.setup import daemon, unique
from deploy.local.broker import Broker
from deploy.local.process import DaemonProcess, Vitals
from tests.reliability.endurance.setup import cluster, endurance_setup, load, report
from tests.support.kafka_client import Cluster, Message

FEED = "endurance.feed"
RATE = 1000.0  # records/s
SAMPLE_S = 2.0
FAULT_EVERY_S = 45.0
WARM_SHARE = 0.2  # of the run: buffers and arenas reach their size


@dataclass(slots=True)
class SoakRecord:
    """Samples and faults, by seconds since the beginning."""

    moments_s: list[float] = field(default_factory=list)
    vitals: list[Vitals] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)


@dataclass(slots=True)
class SoakRun:
    """What a fault may touch. other: a second member of the same group."""

    broker: Broker
    daemon: DaemonProcess
    other: DaemonProcess
    rows: Cluster


def soak(minutes: float, picture: Path | None) -> list[Figure]:
    """Runs so long; the picture of memory, threads and descriptors goes to `picture`."""
    record = SoakRecord()
    with endurance_setup({FEED: 4}) as (setup, broker):
        name = unique("soak")
        first, second = (daemon(setup, FEED, name, instance=word) for word in "ab")
        soak_run = SoakRun(broker, first, second, cluster(setup))
        with load(setup, FEED, minutes * 60 + 60, RATE), first:
            first.wait_ready()
            try:
                _live(soak_run, record, minutes * 60)
                scored = first.metric("watchkeeper_windows_scored_total")
                recoveries = first.metric("watchkeeper_recoveries_total")
                assert first.stop(60) == 0, first.last_words()
            finally:
                second.kill()
    if picture is not None:
        from tests.reliability.endurance.picture import draw

        draw(record.moments_s, record.vitals, record.faults, picture)
    return [
        Figure("minutes", record.moments_s[-1] / 60, aim_low=0.95 * minutes),
        Figure("faults", len(record.faults)),
        Figure("recoveries", recoveries),
        Figure("windows scored", scored, aim_low=1.0),
        *_level(record),
    ]


def _live(soak_run: SoakRun, record: SoakRecord, seconds: float) -> None:
    begun, faults = time.monotonic(), itertools.cycle(FAULTS.items())
    due = FAULT_EVERY_S / 2
    while (passed := time.monotonic() - begun) < seconds:
        record.moments_s.append(passed)
        record.vitals.append(soak_run.daemon.vitals())
        if passed > due:
            name, do = next(faults)
            report(f"{passed / 60:5.1f} min  {name}; {record.vitals[-1].resident_mib:.0f} MiB")
            record.faults.append((passed, name))
            do(soak_run)
            due = time.monotonic() - begun + FAULT_EVERY_S
        time.sleep(SAMPLE_S)


def _broker_crash(soak_run: SoakRun) -> None:
    soak_run.broker.kill()
    time.sleep(3)
    soak_run.broker.start()


def _broker_freeze(soak_run: SoakRun) -> None:
    soak_run.broker.freeze()
    time.sleep(12)
    soak_run.broker.thaw()


def _member_comes_and_goes(soak_run: SoakRun) -> None:
    soak_run.other.start()
    soak_run.other.wait_ready()
    time.sleep(5)
    soak_run.other.stop()


def _member_is_killed(soak_run: SoakRun) -> None:
    soak_run.other.start()
    soak_run.other.wait_ready()
    time.sleep(5)
    soak_run.other.kill()


def _frozen_itself(soak_run: SoakRun) -> None:
    soak_run.daemon.signal(signal.SIGSTOP)
    time.sleep(15)  # longer than its session
    soak_run.daemon.signal(signal.SIGCONT)


def _reload(soak_run: SoakRun) -> None:
    soak_run.daemon.signal(signal.SIGHUP)


def _unreadable_records(soak_run: SoakRun) -> None:
    soak_run.rows.produce(FEED, [Message(b"{ not JSON" * (number % 50)) for number in range(2000)])


def _new_assets(soak_run: SoakRun) -> None:
    row = {"timestamp": time.time(), "flow": 1.0}
    names = [f"guest-{number}" for number in range(2000)]  # the same ones each time: what they take is taken once
    soak_run.rows.produce(FEED, [Message(json.dumps(row | {"asset": name}).encode(), name.encode()) for name in names])


FAULTS: dict[str, Callable[[SoakRun], None]] = {
    "new assets": _new_assets,
    "broker killed": _broker_crash,
    "unreadable records": _unreadable_records,
    "broker frozen": _broker_freeze,
    "member comes and goes": _member_comes_and_goes,
    "reload": _reload,
    "member killed": _member_is_killed,
    "daemon frozen": _frozen_itself,
}


def _level(record: SoakRecord) -> list[Figure]:
    """The end against the time after the warm-up: medians of a fifth of the run each."""
    size = max(int(WARM_SHARE * len(record.vitals)), 1)
    early, late = record.vitals[size : 2 * size] or record.vitals, record.vitals[-size:]
    figures = []
    for word, unit, slack in (("resident_mib", "MiB", 1.1), ("threads", "", 1.25), ("descriptors", "", 1.25)):
        before = statistics.median(getattr(vitals, word) for vitals in early)
        after = statistics.median(getattr(vitals, word) for vitals in late)
        figures += [
            Figure(f"{word} after the warm-up", before, unit),
            Figure(f"{word} at the end", after, unit, aim_high=before * slack),
        ]
    return figures
