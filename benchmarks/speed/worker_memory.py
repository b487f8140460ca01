"""The worker's memory over the length of a history: `python -m benchmarks.speed.worker_memory`.

Each line is a process of its own that reads so many made records of 20 pumps with 10 sensors through the trainer's
reader, with the bound of worker.max_history_mb, then cuts the gate's rows off and trains on the rest. It prints the
peak of the resident memory after each step. 14 days of 200 records a second are 242 million records: once the bound is
reached the peak no longer grows, so a few lengths show the slope that this history would follow.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from schemas.config import Feed
from schemas.training import Training
from tests.support.plant import FakeRecord
from trainer.data.history import History
from trainer.data.records import Gatherer
from trainer.data.thinning import Bound
from trainer.recipe import train
from trainer.retraining import gate

SENSORS = tuple(f"s{number}" for number in range(10))
ASSETS = 20
CHUNK = 5000
RECORDS = (250_000, 500_000, 1_000_000, 2_000_000)
BOUND_MB = 16
TRAINING = Training(period_s=1.0, window=10, epochs=2, folds=2, hidden=(16,), latent=3, score="window")


def main() -> None:
    """Prints a line a length."""
    if len(sys.argv) > 2:
        print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))))
        return
    bound_mb = int(sys.argv[1]) if len(sys.argv) > 1 else BOUND_MB
    print(
        f"{'records':>10} {'bound MB':>9} {'rows kept':>10} {'start MB':>9} {'read MB':>8} {'trained MB':>11} {'s':>5}"
    )
    for count in RECORDS:
        command = [sys.executable, "-m", "benchmarks.speed.worker_memory", str(bound_mb), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{count:>10} {bound_mb:>9} {found['rows']:>10} {found['start']:>9.0f} {found['read']:>8.0f} "
              f"{found['trained']:>11.0f} {found['took_s']:>5.0f}", flush=True)  # fmt: skip


def _measure(bound_mb: int, count: int) -> dict[str, float]:
    """Peaks in MB. A bound of 0 is none."""
    begun, start = time.monotonic(), _peak_mb()
    history = _read(bound_mb, count)
    read = _peak_mb()
    train(gate.split(history, 0.2).fit, "pumps", TRAINING, decoder=True)
    return {"rows": history.rows, "start": start, "read": read, "trained": _peak_mb(),
            "took_s": time.monotonic() - begun}  # fmt: skip


def _read(bound_mb: int, count: int) -> History:
    bound = Bound(bound_mb * 1_000_000, TRAINING.window, TRAINING.period_s) if bound_mb else None
    gatherer = Gatherer("made", Feed(), SENSORS, TRAINING.period_s, bound=bound)
    for chunk in _records(count):
        gatherer.add(chunk)
    return gatherer.history()


def _records(count: int) -> Iterator[list[FakeRecord]]:
    """All assets once a second."""
    rng = np.random.default_rng(0)
    for begin in range(0, count, CHUNK):
        values = rng.normal(size=(CHUNK, len(SENSORS))).round(3).tolist()
        yield [
            FakeRecord(begin + i, json.dumps({"asset": f"pump-{(begin + i) % ASSETS}",
                "timestamp": 1_700_000_000 + (begin + i) // ASSETS, **dict(zip(SENSORS, row, strict=True))}).encode())
            for i, row in enumerate(values)
        ]  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
