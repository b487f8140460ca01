"""The daemon of one checkout against another's over the same topic: `python -m benchmarks.speed --vs DIR`.

Both run under this interpreter with its installed libraries. The other checkout trains the model: a newer daemon reads
an older bundle, while an older one need not read a newer bundle. Laps alternate and change their order each round, so
that neither is always the first.
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.speed.figures import Figure
from benchmarks.speed.laps import Result, daemon_lap
from benchmarks.speed.setup import BenchmarkSetup
from benchmarks.speed.throughput import check_alerts, rate_ratio
from detector.errors import WatchkeeperError

AIM = 0.97  # of the other's rate; below it a change has made the daemon slower
HERE = Path(__file__).resolve().parents[2]
OURS, THEIRS = "this checkout", "other checkout"


def check_checkout(checkout: Path) -> None:
    """Raises where the directory holds no daemon."""
    if not (checkout / "detector" / "cli.py").is_file():
        raise WatchkeeperError(f"{checkout} is not a checkout of watchkeeper", "name a directory with detector/cli.py")


def run_versus(
    setup: BenchmarkSetup, topic: str, records: int, checkout: Path, rounds: int, report: Callable[[str], None]
) -> list[Figure]:
    """Laps of both by turns after one of each that does not count; gives rates, processor times and their ratios."""
    checkouts = {OURS: HERE, THEIRS: checkout}
    laps: dict[str, list[Result]] = {name: [] for name in checkouts}
    for number in range(rounds + 1):  # round 0 reads the new log for the first time
        for name in [OURS, THEIRS] if number % 2 else [THEIRS, OURS]:
            lap = daemon_lap(setup, topic, records, checkouts[name])
            report(
                f"round {number}  {name:<15} {lap.rate:>10,.0f} records/s  {lap.processor_s_per_million:.1f} s/million"
            )
            laps[name].append(lap)
    counted = {name: results[1:] for name, results in laps.items()}
    check_alerts([result for results in counted.values() for result in results])
    return [*_each(counted), *_ratios(counted[OURS], counted[THEIRS])]


def _each(laps: dict[str, list[Result]]) -> list[Figure]:
    figures = []
    for name, results in laps.items():
        rate = statistics.median(result.rate for result in results)
        used = statistics.median(result.processor_s_per_million for result in results)
        figures += [
            Figure(f"{name}, throughput", rate, "records/s"),
            Figure(f"{name}, processor time", used, "s per million records"),
        ]
    return figures


def _ratios(ours: Sequence[Result], theirs: Sequence[Result]) -> list[Figure]:
    used = statistics.median(
        our.processor_s_per_million / their.processor_s_per_million for our, their in zip(ours, theirs, strict=True)
    )
    return [
        Figure(f"{OURS} / {THEIRS}, throughput", rate_ratio(ours, theirs), aim_low=AIM),
        Figure(f"{OURS} / {THEIRS}, processor time", used),
    ]
