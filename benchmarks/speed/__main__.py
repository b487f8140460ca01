"""`python -m benchmarks.speed` (`make bench`): throughput, memory and latency against a real Apache Kafka.

The feed: 40 assets, 10 sensors, about 230 bytes of JSON a record, 4 partitions. With `--vs DIR` it compares this
checkout's daemon with another checkout's instead.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.speed.figures import Figure, conclude
from benchmarks.speed.fill import fill
from benchmarks.speed.latency import Latency, measure
from benchmarks.speed.model import train
from benchmarks.speed.setup import BenchmarkSetup
from benchmarks.speed.throughput import run_rounds, throughput_figures
from benchmarks.speed.versus import check_checkout, run_versus
from deploy.local.broker import Broker
from detector.errors import WatchkeeperError
from detector.transports.kafka.admin import Admin, TopicOrder
from schemas.config import Kafka

PARTITIONS = 4
FEED, LIVE = "bench.feed", "bench.live"


def bench(
    records: Annotated[int, typer.Option(min=1000, help="Records in the topic.")] = 600_000,
    tutorial_records: Annotated[int, typer.Option(min=100, help="Records that the slow tutorial loop reads.")] = 60_000,
    rounds: Annotated[int, typer.Option(min=1, help="Laps of each; medians count.")] = 3,
    rate: Annotated[float, typer.Option(min=1, help="Records a second of the latency run.")] = 2000.0,
    seconds: Annotated[float, typer.Option(min=2, help="Measured length of the latency run.")] = 30.0,
    vs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another checkout: alternate laps of its daemon and this one's, no others."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on standard output.")] = False,
) -> None:
    """Measure throughput, processor time, memory and latency; exit code 1 when an aim is missed. About 4 minutes."""
    other = None if vs is None else vs.resolve()
    if other is not None:
        check_checkout(other)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-bench-") as folder:
        _report("training the model, starting Kafka")
        graph, threshold = train(Path(folder), other)
        with Broker() as broker:
            setup = BenchmarkSetup(Path(folder), broker.bootstrap, Path(folder) / "models", graph, threshold)
            filled = _fill_topics(setup, records)
            _report(f"{filled} records in the topic; {rounds} rounds")
            if other is not None:
                figures = run_versus(setup, FEED, filled, other, rounds, _report)
            else:
                laps = run_rounds(setup, FEED, filled, min(tutorial_records, records), rounds, _report)
                _report(f"latency: {rate:.0f} records/s for {seconds:.0f} s")
                figures = [*throughput_figures(laps), *_latency_figures(measure(setup, LIVE, rate, seconds))]
    raise typer.Exit(conclude(figures, as_json))


def _fill_topics(setup: BenchmarkSetup, records: int) -> int:
    """Makes the topics and fills the feed; gives its number of records."""
    with Admin(Kafka(bootstrap_servers=setup.bootstrap), wait_s=10) as admin:
        admin.create([TopicOrder(name, PARTITIONS, 1, {}) for name in (FEED, LIVE, "contestants.alerts")])
    return fill(setup.bootstrap, FEED, PARTITIONS, records)


def _latency_figures(late: Latency) -> list[Figure]:
    return [
        Figure("latency run, rate", late.rate, "records/s"),
        Figure("latency run, alerts", late.alerts),
        Figure("latency p50", late.p50_ms, "ms", aim_high=50.0),
        Figure("latency p99", late.p99_ms, "ms", aim_high=200.0),
        Figure("daemon's processor share", late.cores, "cores", aim_high=0.5),
    ]


def _report(text: str) -> None:
    """Progress goes to standard error: standard output is for the figures."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Runs the command; a fault is one line."""
    try:
        typer.run(bench)
    except WatchkeeperError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
