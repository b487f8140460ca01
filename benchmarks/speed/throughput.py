"""The daemon against a bare poll, a hand-written loop and a tutorial's loop over the same topic.

Each is a process of its own. They take turns, some rounds over, and medians count. Absolute figures are this machine's;
the ratios hold.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.speed.figures import Figure
from benchmarks.speed.laps import Result, contestant, daemon_lap
from benchmarks.speed.setup import BenchmarkSetup
from detector.errors import WatchkeeperError

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


def run_rounds(
    setup: BenchmarkSetup, topic: str, records: int, tutorial_records: int, rounds: int, report: Callable[[str], None]
) -> dict[str, list[Result]]:
    """Runs everybody in turn over a topic of `records` records; gives the laps of each. Blocks for minutes.

    report: is given a line after each lap.
    """
    contestant("bare", setup, topic, records)  # the first reading of a new log is slower than every other
    laps: dict[str, list[Result]] = {name: [] for name in NAMES}
    for number in range(1, rounds + 1):
        for name, results in laps.items():
            if name in DAEMONS:
                results.append(daemon_lap(setup, topic, records, **DAEMONS[name]))
            else:
                results.append(contestant(name, setup, topic, tutorial_records if name == "tutorial" else records))
            report(f"round {number}  {NAMES[name]:<26} {results[-1].rate:>10,.0f} records/s")
    check_alerts([*laps["daemon"], *laps["handwritten"]])
    return laps


def check_alerts(laps: Sequence[Result]) -> None:
    """A lap that found none of the feed's excursions did not do its work."""
    if not all(result.alerts for result in laps):
        raise WatchkeeperError("a lap raised no alert", "the contestants did not do their work; nothing was measured")


def throughput_figures(laps: dict[str, list[Result]]) -> list[Figure]:
    """Rate, processor time and memory of each, and the daemon's ratios to the others with their aims."""
    rates = {name: statistics.median(result.rate for result in results) for name, results in laps.items()}
    figures = [Figure(f"{NAMES[name]}, throughput", rate, "records/s") for name, rate in rates.items()]
    for name, results in laps.items():
        used = statistics.median(result.processor_s_per_million for result in results)
        figures.append(Figure(f"{NAMES[name]}, processor time", used, "s per million records"))
    for name, results in laps.items():
        peak = max(result.peak_mib for result in results)
        figures.append(Figure(f"{NAMES[name]}, peak memory", peak, "MiB", None, 250.0 if name == "daemon" else None))
    for other, aim in (("bare", 0.55), ("handwritten", 0.8), ("tutorial", 3.0), ("stateless", 0.9)):
        figures.append(Figure(f"daemon / {NAMES[other]}", rate_ratio(laps["daemon"], laps[other]), aim_low=aim))
    ratio = rate_ratio(laps["exactly_once"], laps["daemon"])
    return [*figures, Figure(f"{NAMES['exactly_once']} / daemon", ratio)]


def rate_ratio(ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    """The median ratio of rates: laps of one round lie side by side in time and suffer alike from a busy machine."""
    return statistics.median(our.rate / their.rate for our, their in zip(ours, theirs, strict=True))
