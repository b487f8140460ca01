"""What a good engineer writes for one plant: poll, msgspec, numpy windows, onnxruntime in batches, alerts, commit.

Nothing else: no dead letters, no gaps, no late rows, no delays, no state that survives a restart. Fast on purpose:
fixed field names, all windows of a poll at once, offsets committed as seldom as the daemon commits them.
"""

import time
from itertools import chain
from operator import attrgetter

import msgspec
import numpy as np
import onnxruntime
from kafka import KafkaProducer
from numpy.typing import NDArray

from benchmarks.speed.contestants.lap import Lap, Task
from benchmarks.speed.plant import SENSORS, WINDOW

COMMIT_EVERY_S = 5.0
BATCH = 256  # windows; the daemon's default

pick = attrgetter(*SENSORS)
Reading = msgspec.defstruct("Reading", [("asset", str), ("timestamp", float), *((name, float) for name in SENSORS)])
Floats = NDArray[np.float32]


class AssetWindows:
    """The last rows of every asset, and whether its alarm is up."""

    def __init__(self) -> None:
        self.history: dict[str, Floats] = {}
        self.up: dict[str, bool] = {}

    def windows(self, asset: str, rows: Floats) -> Floats:
        """The windows that end at these rows, (row, window, sensor); fewer while the first one fills."""
        before = self.history.get(asset)
        cells = rows if before is None else np.concatenate([before, rows])
        self.history[asset] = cells[-(WINDOW - 1) :]
        if len(cells) < WINDOW:
            return np.empty((0, WINDOW, len(SENSORS)), np.float32)
        views = np.lib.stride_tricks.sliding_window_view(cells, WINDOW, axis=0)
        return np.asarray(views.transpose(0, 2, 1))

    def edges(self, asset: str, over: NDArray[np.bool_]) -> list[tuple[int, bool]]:
        """Where the alarm goes up or down, as (row, up)."""
        found: list[tuple[int, bool]] = []
        up = self.up.get(asset, False)
        for row in np.flatnonzero(np.diff(np.r_[up, over])).tolist():
            up = not up
            found.append((row, up))
        self.up[asset] = up
        return found


def by_asset(values: list[bytes]) -> dict[str, Floats]:
    """The poll's rows of each asset in order, (row, sensor)."""
    decode = msgspec.json.Decoder(Reading).decode
    readings = [decode(value) for value in values]
    cells = np.array([pick(reading) for reading in readings], np.float32)
    names = np.array([reading.asset for reading in readings])  # type: ignore[attr-defined]
    return {str(name): cells[names == name] for name in np.unique(names)}


def session(path: str) -> onnxruntime.InferenceSession:
    """One thread and no spinning, as everybody should."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Runs until the task's records were scored and committed."""
    task = Task.from_arguments()
    graph, plant = session(task.graph), AssetWindows()
    consumer = task.consumer()
    producer = KafkaProducer(bootstrap_servers=task.bootstrap, linger_ms=5)
    lap, seen, alerts, committed = Lap(), 0, 0, time.monotonic()
    while seen < task.records:
        values = [record.value for record in chain.from_iterable(consumer.poll(timeout_ms=500).values())]
        if not values:
            continue
        seen += len(values)
        rows = by_asset(values)
        windows = {asset: plant.windows(asset, cells) for asset, cells in rows.items()}
        together = np.concatenate(list(windows.values()))
        parts = [graph.run(["score"], {"window": together[i : i + BATCH]})[0] for i in range(0, len(together), BATCH)]
        over = np.concatenate(parts) > task.threshold if parts else np.empty(0, bool)
        first = 0
        for asset, part in windows.items():
            for row, up in plant.edges(asset, over[first : first + len(part)]):
                alert = {"asset": asset, "state": "opened" if up else "closed", "row": row}
                producer.send(task.alerts, msgspec.json.encode(alert), key=asset.encode())
                alerts += 1
            first += len(part)
        if time.monotonic() - committed > COMMIT_EVERY_S or seen >= task.records:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()
    lap.finish(seen, alerts)
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
