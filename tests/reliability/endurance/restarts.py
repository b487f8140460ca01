"""How long a stop takes, and how soon a start scores: SIGTERM under load, and a start with much state."""

import random
import time

from kafka import KafkaProducer

from benchmarks.speed.figures import Figure
from benchmarks.speed.plant import encode, values
from benchmarks.speed.setup import BenchmarkSetup, daemon, unique
from deploy.local.process import DaemonProcess
from tests.reliability.endurance.setup import endurance_setup, load, report

FEED, WIDE = "endurance.feed", "endurance.wide"
ROWS = 34  # of each asset: its window of 32 is full
ASK_S = 0.05


def stops(count: int) -> list[Figure]:
    """SIGTERM to exit, under 2,000 records/s, so many times; each exit code must be 0."""
    took: list[float] = []
    starts: list[float] = []
    with endurance_setup({FEED: 4}) as (setup, _), load(setup, FEED, count * 30.0):
        process = daemon(setup, FEED, unique("stops"), instance="a")
        for number in range(count):
            starts.append(first_score(process))
            time.sleep(random.uniform(0.2, 1.0))  # anywhere in a checkpoint's interval
            begun = time.perf_counter()
            code = process.stop(60.0)
            took.append(time.perf_counter() - begun)
            assert code == 0, f"exit code {code}: {process.last_words()}"
            if (number + 1) % 10 == 0:
                report(f"{number + 1} of {count} restarts, slowest stop {max(took):.2f} s")
    took.sort()
    return [
        Figure("stops under load", len(took)),
        Figure("SIGTERM to exit, median", took[len(took) // 2], "s"),
        Figure("SIGTERM to exit, p99", took[min(int(0.99 * len(took)), len(took) - 1)], "s", aim_high=10.0),
        Figure("start to first score, median", sorted(starts)[len(starts) // 2], "s"),
        Figure("start to first score, longest", max(starts), "s"),
    ]


def much_state(assets: int, times: int) -> list[Figure]:
    """Start to first score with the windows of so many assets in the state topic."""
    starts: list[float] = []
    with endurance_setup({WIDE: 4}) as (setup, _):
        report(f"filling the windows of {assets} assets")
        rows = _Rows(setup, assets)
        rows.send(ROWS)
        process = daemon(setup, WIDE, unique("state"), instance="a")
        process.start()
        process.wait_ready()
        while process.metric("watchkeeper_records_total") < assets * ROWS:
            time.sleep(0.5)
        memory = process.peak_mib()
        assert process.stop(60.0) == 0
        for _ in range(times):
            rows.send(1)  # a score from it needs the rows before it: from the state
            starts.append(first_score(process))
            while (held := process.metric("watchkeeper_windows_scored_total")) < assets:
                time.sleep(ASK_S)
            assert process.stop(60.0) == 0
    return [
        Figure("assets whose first row after a start was scored", held, aim_low=float(assets)),
        Figure("peak memory", memory, "MiB"),
        Figure("start to first score with that state, median", sorted(starts)[len(starts) // 2], "s", aim_high=3.0),
        Figure("start to first score with that state, longest", max(starts), "s"),
    ]


def first_score(process: DaemonProcess) -> float:
    """Starts it; seconds from the start of the process until it has scored a window, as its metrics say."""
    begun = time.perf_counter()
    process.start()
    process.wait_ready()
    while not process.metric("watchkeeper_windows_scored_total"):
        assert time.perf_counter() - begun < 120, process.last_words()
        time.sleep(ASK_S)
    return time.perf_counter() - begun


class _Rows:
    """Rows of very many assets, one record each."""

    def __init__(self, setup: BenchmarkSetup, assets: int) -> None:
        self._bootstrap, self._assets, self._row = setup.bootstrap, assets, 0
        self._cells = [values(asset, 0, 500, None) for asset in range(40)]
        self._start_s = float(int(time.time())) - ROWS

    def send(self, rows: int) -> None:
        """The next rows of every asset."""
        producer = KafkaProducer(bootstrap_servers=self._bootstrap, linger_ms=50, batch_size=262_144)
        for _ in range(rows):
            for asset in range(self._assets):
                name = f"pump-{asset:06d}"
                record = encode(name, self._start_s + self._row, self._cells[asset % 40][self._row])
                producer.send(WIDE, value=record, key=name.encode(), partition=asset % 4)
            producer.flush()  # the accumulator has no bound of its own
            self._row += 1
        producer.close()
