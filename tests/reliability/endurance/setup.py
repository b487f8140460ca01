"""What the endurance runs share: a broker that stamps messages itself, a trained model, a feed at a steady rate."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.model import train
from benchmarks.speed.setup import BenchmarkSetup
from deploy.local.broker import Broker
from detector.transports.kafka.admin import Admin, TopicOrder
from schemas.config import Kafka
from tests.support.kafka_client import Cluster

RATE = 2000.0  # records/s
ALL = {"emit": "all"}


@contextmanager
def endurance_setup(topics: Mapping[str, int]) -> Iterator[tuple[BenchmarkSetup, Broker]]:
    """A setup with these topics (name -> partitions), and its broker; message times are the broker's own."""
    with tempfile.TemporaryDirectory(prefix="watchkeeper-endurance-") as folder:
        graph, threshold = train(Path(folder))
        broker = Broker()
        broker.properties["log.message.timestamp.type"] = "LogAppendTime"
        with broker:
            with Admin(Kafka(bootstrap_servers=broker.bootstrap), wait_s=10) as admin:
                # The feed's own times are the events'.
                kept = {"message.timestamp.type": "CreateTime"}
                admin.create([TopicOrder(name, width, 1, kept) for name, width in topics.items()])
            yield BenchmarkSetup(Path(folder), broker.bootstrap, Path(folder) / "models", graph, threshold), broker


@contextmanager
def load(setup: BenchmarkSetup, topic: str, seconds: float, rate: float = RATE) -> Iterator[None]:
    """A producer as a process of its own, stopped at the end."""
    command = [sys.executable, "-m", "benchmarks.speed.pace", f"--bootstrap={setup.bootstrap}", f"--topic={topic}"]
    producer = subprocess.Popen(
        [*command, f"--rate={rate}", f"--seconds={seconds}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        producer.kill()
        producer.wait()


def cluster(setup: BenchmarkSetup) -> Cluster:
    """The setup's broker, seen by a client."""
    return Cluster(setup.bootstrap)


def report(text: str) -> None:
    """Progress goes to standard error: standard output is for the figures."""
    print(text, file=sys.stderr, flush=True)
