"""`make bench`: the daemon against a bare poll, a hand-written loop and a tutorial's loop, on one real Apache Kafka.

All four read the same topic (40 assets, 10 sensors, about 230 bytes of JSON a record, 4 partitions), each as a process
of its own, in turn, some rounds over; medians count. Then latency at a steady rate. Absolute figures are this
machine's; the ratios hold.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.speed.figures import Figure, conclude
from benchmarks.speed.fill import fill
from benchmarks.speed.laps import Result, contestant, daemon_lap
from benchmarks.speed.latency import Latency, measure
from benchmarks.speed.model import train
from benchmarks.speed.setup import Bench
from deploy.local.broker import Broker
from detector.errors import WatchkeeperError
from detector.transports.kafka.admin import Admin, TopicOrder
from schemas.config import Kafka

PARTITIONS = 4
FEED, LIVE = "bench.feed", "bench.live"
NAMES = {
    "bare": "bare poll",
    "daemon": "daemon",
    "stateless": "daemon without checkpoints",
    "exactly_once": "daemon, exactly_once",
    "handwritten": "hand-written loop",
    "tutorial": "tutorial loop",
}
# How the daemon's laps differ from its defaults.
DAEMONS: dict[str, dict[str, Any]] = {
    "daemon": {},
    "stateless": {"limits": {"checkpoint_s": 1e6}},
    "exactly_once": {"delivery": "exactly_once"},
}


def bench(
    records: Annotated[int, typer.Option(min=1000, help="Records in the topic.")] = 600_000,
    tutorial_records: Annotated[int, typer.Option(min=100, help="Records that the slow tutorial loop reads.")] = 60_000,
    rounds: Annotated[int, typer.Option(min=1, help="Laps of each; medians count.")] = 3,
    rate: Annotated[float, typer.Option(min=1, help="Records a second of the latency run.")] = 2000.0,
    seconds: Annotated[float, typer.Option(min=2, help="Measured length of the latency run.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on standard output.")] = False,
) -> None:
    """Measure throughput, processor time, memory and latency; exit code 1 when an aim is missed. About 4 minutes."""
    with tempfile.TemporaryDirectory(prefix="watchkeeper-bench-") as folder:
        _say("training the model, starting Kafka")
        graph, threshold = train(Path(folder))
        with Broker() as broker:
            place = Bench(Path(folder), broker.bootstrap, Path(folder) / "models", graph, threshold)
            laps = throughput(place, records, min(tutorial_records, records), rounds)
            _say(f"latency: {rate:.0f} records/s for {seconds:.0f} s")
            late = measure(place, LIVE, rate, seconds)
    raise typer.Exit(conclude([*_throughput_figures(laps), *_latency_figures(late)], as_json))


def throughput(place: Bench, records: int, tutorial_records: int, rounds: int) -> dict[str, list[Result]]:
    """Fills the topic and runs everybody in turn; the first lap of a round warms the page cache for nobody else."""
    with Admin(Kafka(bootstrap_servers=place.bootstrap), wait_s=10) as admin:
        admin.create([TopicOrder(name, PARTITIONS, 1, {}) for name in (FEED, LIVE, "contestants.alerts")])
    filled = fill(place.bootstrap, FEED, PARTITIONS, records)
    _say(f"{filled} records in the topic; {rounds} rounds")
    contestant("bare", place, FEED, filled)  # the first reading of a new log is slower than every other
    laps: dict[str, list[Result]] = {name: [] for name in NAMES}
    for number in range(1, rounds + 1):
        for name, results in laps.items():
            if name in DAEMONS:
                results.append(daemon_lap(place, FEED, filled, **DAEMONS[name]))
            else:
                results.append(contestant(name, place, FEED, tutorial_records if name == "tutorial" else filled))
            _say(f"round {number}  {NAMES[name]:<26} {results[-1].rate:>10,.0f} records/s")
    if not all(result.alerts for name in ("daemon", "handwritten") for result in laps[name]):
        raise WatchkeeperError("a lap raised no alert", "the contestants did not do their work; nothing was measured")
    return laps


def _throughput_figures(laps: dict[str, list[Result]]) -> list[Figure]:
    rates = {name: _median([result.rate for result in results]) for name, results in laps.items()}
    figures = [Figure(f"{NAMES[name]}, throughput", rate, "records/s") for name, rate in rates.items()]
    for name, results in laps.items():
        used = _median([result.cpu_s / result.records * 1e6 for result in results])
        figures.append(Figure(f"{NAMES[name]}, processor time", used, "s per million records"))
    for name, results in laps.items():
        peak = max(result.peak_mib for result in results)
        figures.append(Figure(f"{NAMES[name]}, peak memory", peak, "MiB", None, 250.0 if name == "daemon" else None))
    for other, aim in (("bare", 0.55), ("handwritten", 0.8), ("tutorial", 3.0), ("stateless", 0.9)):
        figures.append(Figure(f"daemon / {NAMES[other]}", _ratio(laps, "daemon", other), aim_low=aim))
    figures.append(Figure(f"{NAMES['exactly_once']} / daemon", _ratio(laps, "exactly_once", "daemon")))
    return figures


def _ratio(laps: dict[str, list[Result]], one: str, other: str) -> float:
    """Laps of one round lie side by side in time, so a round's ratio suffers least from a busy machine."""
    return _median([mine.rate / its.rate for mine, its in zip(laps[one], laps[other], strict=True)])


def _latency_figures(late: Latency) -> list[Figure]:
    return [
        Figure("latency run, rate", late.rate, "records/s"),
        Figure("latency run, alerts", late.alerts),
        Figure("latency p50", late.p50_ms, "ms", aim_high=50.0),
        Figure("latency p99", late.p99_ms, "ms", aim_high=200.0),
        Figure("daemon's processor share", late.cores, "cores", aim_high=0.5),
    ]


def _say(text: str) -> None:
    """Progress goes to standard error: standard output is for the figures."""
    print(text, file=sys.stderr, flush=True)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def main() -> None:
    """Runs the command; a fault is one line."""
    try:
        typer.run(bench)
    except WatchkeeperError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
