"""A rolling restart of three members under load: how long any partition goes unwatched."""

import time
from itertools import pairwise

import msgspec

from benchmarks.speed.figures import Figure
from benchmarks.speed.setup import BenchmarkSetup, daemon, unique
from deploy.local.process import DaemonProcess
from tests.reliability.endurance.setup import ALL, cluster, endurance_setup, load, report

FEED, PARTITIONS = "endurance.feed", 6
SETTLE_S = 6.0


class _ScoresMessage(msgspec.Struct):
    partition: int
    offsets: list[int]


def rolling(rounds: int) -> list[Figure]:
    """Each member in turn: SIGTERM, wait for its end, start, wait until it is ready. Gaps by the broker's clock."""
    name = unique("rolling")
    with endurance_setup({FEED: PARTITIONS}) as (setup, _):
        members = {word: daemon(setup, FEED, name, instance=word, scores=ALL) for word in "abc"}
        with load(setup, FEED, 3600.0):
            try:
                begun, ended = _roll(members, rounds)
            finally:
                for member in members.values():
                    member.kill()
        gaps, doubled = _gaps(setup, name, begun, ended)
    return [
        Figure("members restarted", rounds * len(members)),
        Figure("longest gap in the output of all", gaps[-1], "s", aim_high=3.0),
        Figure("longest gap of one partition", max(gaps[partition] for partition in range(PARTITIONS)), "s"),
        Figure("records scored again", doubled),
    ]


def _roll(members: dict[str, DaemonProcess], rounds: int) -> tuple[float, float]:
    for member in members.values():
        member.start()
    for member in members.values():
        member.wait_ready()
    time.sleep(SETTLE_S)
    begun = time.time()
    for number in range(rounds):
        for word, member in members.items():
            assert member.stop() == 0, member.last_words()
            member.start()
            member.wait_ready()
            report(f"round {number + 1}, member {word} is back")
            time.sleep(SETTLE_S)
    return begun, time.time()


def _gaps(setup: BenchmarkSetup, name: str, begun: float, ended: float) -> tuple[dict[int, float], int]:
    """Longest time between two messages of scores, of each partition and (-1) of all; and what was scored twice."""
    moments: dict[int, list[float]] = {number: [] for number in range(-1, PARTITIONS)}
    seen: set[tuple[int, int]] = set()
    total = 0
    for read in cluster(setup).read_all(f"{name}.scores", isolation="read_committed"):
        part = msgspec.json.decode(read.value or b"", type=_ScoresMessage)
        total += len(part.offsets)
        seen |= {(part.partition, offset) for offset in part.offsets}
        if begun <= read.timestamp / 1e3 <= ended:
            moments[part.partition].append(read.timestamp / 1e3)
            moments[-1].append(read.timestamp / 1e3)
    longest = {key: _longest(sorted([begun, *times, ended])) for key, times in moments.items()}
    return longest, total - len(seen)


def _longest(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))
