"""A poll on its way in: records as a transport gives them, decoded records, and the rows that they make."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from detector.core.arrays import Doubles, Floats, Ints
from schemas.feed import CellFault, Reason

CellFaults = Counter[tuple[str, CellFault]]  # sensor and what was wrong -> how many cells


class Record(Protocol):
    """A record as a transport gives it; kafka-python's ConsumerRecord has this form."""

    @property
    def topic(self) -> str:
        """Where it lies."""
        ...

    @property
    def partition(self) -> int:
        """Which part of the topic."""
        ...

    @property
    def offset(self) -> int:
        """Its number in the partition."""
        ...

    @property
    def timestamp(self) -> int | None:
        """The transport's own time, milliseconds since 1970; None or negative where it has none."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key; the asset's name where the feed says so."""
        ...

    @property
    def value(self) -> bytes | None:
        """The payload; None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be read, and why; `detail` holds nothing of the payload."""

    record: Record
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The readable records of a poll, in order of arrival."""

    topic: str
    partitions: Ints  # (record,)
    offsets: Ints  # (record,)
    assets: list[str]  # (record,)
    times: Doubles  # (record,) seconds since 1970
    cells: Doubles  # (record, sensor) NaN = missing; long: (record, 1)
    names: list[str]  # long: the sensor of each record; wide: empty
    cell_faults: CellFaults = field(default_factory=Counter)  # cells that were no plain number
    unwatched: Counter[str] = field(default_factory=Counter)  # asset -> records without a row that nobody watches
    unknown: int = 0  # long: records without a row, of sensors that nobody names


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one topic in order of arrival; within a partition, offsets ascend."""

    topic: str
    partitions: Ints  # (row,)
    offsets: Ints  # (row,)
    assets: list[str]  # (row,)
    times: Doubles  # (row,) event time, seconds since 1970
    values: Floats  # (row, sensor) engineering units, NaN = missing
    sensors: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.assets)

    @staticmethod
    def none(topic: str, sensors: tuple[str, ...]) -> "Rows":
        """No rows."""
        empty = np.empty(0, np.int64)
        return Rows(topic, empty, empty, [], np.empty(0), np.empty((0, len(sensors)), np.float32), sensors)
