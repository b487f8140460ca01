"""Long records (one sensor each) become rows per asset and period, under a watermark with a stated lateness.

A row is the set of values whose times fall into one period. Its partition's watermark is the newest event time seen in
it; a row is complete when the watermark is `lateness_s` past the row's end, and a value that comes later than that is
late. Whether a value is late is decided against the watermark just before it, so polls make no difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from detector.core.ingest.fields import FLOAT32_MAX, LATEST_S
from detector.core.ingest.rows import Decoded, Rows

Bucket = tuple[str, int]  # asset, number of the period since 1970
Waiting = tuple[str, int, int, dict[int, float]]  # asset, period, offset of the last value, column -> value


@dataclass(slots=True)
class Pending:
    """Rows of one partition that still wait for sensors."""

    watermark: float = -np.inf
    rows: dict[Bucket, dict[int, float]] = field(default_factory=dict)  # column -> value
    last_offset: dict[Bucket, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assembled:
    """The rows that became complete, and the coordinates of values that came too late or of unknown sensors."""

    rows: Rows
    late: list[tuple[int, int, str, float]]  # partition, offset, asset, event time
    unknown: list[tuple[int, int, str]]  # partition, offset, sensor


class Assembler:
    """Assembles rows of `sensors` every `period_s` seconds. Memory: the rows within lateness plus one period."""

    def __init__(self, sensors: tuple[str, ...], period_s: float, lateness_s: float) -> None:
        self.sensors = sensors
        self._column = {name: column for column, name in enumerate(sensors)}
        self.period_s = period_s
        self._lateness = lateness_s
        self.pending: dict[int, Pending] = {}

    def add(self, decoded: Decoded) -> Assembled:
        """Takes long records in order of arrival and gives the rows that are complete now."""
        late: list[tuple[int, int, str, float]] = []
        unknown: list[tuple[int, int, str]] = []
        columns = zip(
            decoded.partitions.tolist(), decoded.offsets.tolist(), decoded.assets,
            decoded.times.tolist(), decoded.cells[:, 0].tolist(), decoded.names, strict=True,
        )  # fmt: skip
        for partition, offset, asset, time, value, name in columns:
            column = self._column.get(name)
            if column is None:
                unknown.append((partition, offset, name))
                continue
            pending = self.pending.setdefault(partition, Pending())
            bucket = (asset, int(time // self.period_s))
            if self._complete(bucket, pending.watermark):
                late.append((partition, offset, asset, time))
                continue
            pending.rows.setdefault(bucket, {})[column] = value
            pending.last_offset[bucket] = offset
            pending.watermark = max(pending.watermark, time)
        return Assembled(self._take(decoded.topic), late, unknown)

    def dump(self, partition: int) -> tuple[float, list[Waiting]]:
        """The watermark of a partition, and the rows that wait, for a checkpoint."""
        pending = self.pending[partition]
        waiting = [(*bucket, pending.last_offset[bucket], cells) for bucket, cells in pending.rows.items()]
        return float(pending.watermark), waiting

    def load(
        self, partition: int, watermark: float, waiting: Iterable[Waiting], cut: tuple[Sequence[str], float]
    ) -> None:
        """Takes up what `dump` gave. cut: the sensors and the period that the rows were cut by; none: as they are here.

        Where rows are cut otherwise by now, cells would stand for other sensors or times: only the watermark is kept.
        Raises ValueError for what no feed can have left.
        """
        if not 0 <= watermark < LATEST_S:
            raise ValueError("the checkpoint has a watermark at no moment")
        pending = self.pending[partition] = Pending(watermark)
        if cut[0] and (tuple(cut[0]), cut[1]) != (self.sensors, self.period_s):
            return
        for asset, period, offset, cells in waiting:
            self._check(period, cells)
            pending.rows[asset, period], pending.last_offset[asset, period] = cells, offset

    def _check(self, period: int, cells: Mapping[int, float]) -> None:
        columns_fit = all(0 <= column < len(self.sensors) for column in cells)
        values_fit = all(abs(value) <= FLOAT32_MAX for value in cells.values())
        if not columns_fit or not values_fit or period * self.period_s >= LATEST_S:
            raise ValueError("the checkpoint has a waiting row that no feed can have given")

    def same_rows(self, other: "Assembler") -> bool:
        """Whether another assembler cuts the feed into the same rows."""
        return (self.sensors, self.period_s) == (other.sensors, other.period_s)

    def flush(self, topic: str) -> Rows:
        """Everything that still waits: for the end of a file, never for a live feed."""
        return self._take(topic, everything=True)

    def _complete(self, bucket: Bucket, watermark: float) -> bool:
        return (bucket[1] + 1) * self.period_s + self._lateness <= watermark

    def _take(self, topic: str, *, everything: bool = False) -> Rows:
        """Removes complete rows, oldest first within each partition."""
        taken: list[tuple[int, int, Bucket, dict[int, float]]] = []
        for partition, pending in self.pending.items():
            ready = [bucket for bucket in pending.rows if everything or self._complete(bucket, pending.watermark)]
            ready.sort(key=lambda bucket: (bucket[1], bucket[0]))
            taken += [(partition, pending.last_offset.pop(b), b, pending.rows.pop(b)) for b in ready]
        values = np.full((len(taken), len(self.sensors)), np.nan, np.float32)
        for row, (_, _, _, cells) in enumerate(taken):
            for column, value in cells.items():
                values[row, column] = value
        return Rows(
            topic=topic,
            partitions=np.array([partition for partition, _, _, _ in taken], np.int64),
            offsets=np.array([offset for _, offset, _, _ in taken], np.int64),
            assets=[bucket[0] for _, _, bucket, _ in taken],
            times=np.array([bucket[1] * self.period_s for _, _, bucket, _ in taken], np.float64),
            values=values,
            sensors=self.sensors,
        )
