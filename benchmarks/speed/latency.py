"""From a producer's send to the alert in a consumer's hands, at a steady rate, and what the daemon burns for it."""

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime

import msgspec
from kafka import KafkaConsumer, TopicPartition

from benchmarks.speed.setup import BenchmarkSetup, alerts_topic, daemon, unique
from detector.errors import WatchkeeperError

WARM_S = 5.0  # windows fill and clients settle; not measured
QUIET_S = 2.0  # after the last record its alert is waited for


class _Alert(msgspec.Struct):
    time: datetime


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds over all alerts opened and closed; the daemon's processor share in cores."""

    p50_ms: float
    p99_ms: float
    alerts: int
    cores: float
    rate: float  # records/s that were really sent


def measure(setup: BenchmarkSetup, topic: str, rate: float, seconds: float) -> Latency:
    """Runs producer, daemon and alert consumer. The topic must be empty: the event times are the sending times."""
    name = unique("latency")
    with daemon(setup, topic, name, alarms={"on_delay_s": 0.0, "off_delay_s": 0.0}) as process:
        process.wait_ready()
        reader = _reader(setup.bootstrap, alerts_topic(name))
        command = [sys.executable, "-m", "benchmarks.speed.pace", f"--bootstrap={setup.bootstrap}", f"--topic={topic}"]
        with subprocess.Popen(
            [*command, f"--rate={rate}", f"--seconds={WARM_S + seconds}"], stdout=subprocess.PIPE, text=True
        ) as producer:
            _collect(reader, WARM_S + 1.0)
            used, begun = process.processor_s(), time.perf_counter()
            late = _collect(reader, seconds - 1.0)
            cores = (process.processor_s() - used) / (time.perf_counter() - begun)
            late += _collect(reader, QUIET_S)
            sent = int(producer.communicate(timeout=60)[0])
        reader.close()
    if not late:
        raise WatchkeeperError("no alert came back", f"see {process.log}: {process.last_words()}")
    late.sort()
    return Latency(_at(late, 0.5), _at(late, 0.99), len(late), cores, sent / (WARM_S + seconds))


def _reader(bootstrap: str, topic: str) -> KafkaConsumer:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()])
    return consumer


def _collect(reader: KafkaConsumer, seconds: float) -> list[float]:
    """Latencies of the alerts that come within the time, milliseconds; an alert's time is its record's sending."""
    late: list[float] = []
    deadline = time.perf_counter() + seconds
    while (left := deadline - time.perf_counter()) > 0:
        found = reader.poll(timeout_ms=max(int(left * 1000), 1))
        now = time.time()
        for records in found.values():
            late += [
                (now - msgspec.json.decode(record.value, type=_Alert).time.timestamp()) * 1000 for record in records
            ]
    return late


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
