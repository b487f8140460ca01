"""Decoded records kept in little memory while a history is read; beyond a bound, blocks of time are left out.

Single rows cannot be left out: a window needs neighbours. So time is cut into blocks of ten windows, and an asset keeps
every second block, or every fourth, and so on. The asset with the most rows is thinned first, so that small ones stay
whole, and assets begin at different blocks, so that together they cover the span. A history within the bound is not
touched.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints
from detector.core.ingest.rows import Decoded

BLOCK_WINDOWS = 10
_SLACK = 0.75  # thinned to this share of the bound, so that not every chunk thins again
_HEAD_BYTES = 16  # of a record: time, and numbers of asset and sensor


@dataclass(frozen=True, slots=True)
class Bound:
    """How much of a history is kept. period_s: of rows; None takes the usual step of what was read."""

    max_bytes: int
    window: int  # rows
    period_s: float | None


@dataclass(slots=True)
class _Part:
    """Records in order of arrival."""

    owners: Ints  # (record,) numbers of assets
    names: Ints  # (record,) numbers of sensors; wide: empty
    times: Doubles  # (record,)
    cells: Doubles | np.typing.NDArray[np.float32]  # (record, sensor)

    def select(self, keep: Bools) -> "_Part":
        names = self.names[keep] if len(self.names) else self.names
        return _Part(self.owners[keep], names, self.times[keep], self.cells[keep])


class KeptRecords:
    """What is kept of decoded records. bound: None keeps all."""

    def __init__(self, bound: Bound | None = None) -> None:
        self._bound = bound
        self._assets: dict[str, int] = {}
        self._sensors: dict[str, int] = {}
        self._parts: list[_Part] = []
        self._levels: Ints = np.zeros(0, np.int64)  # by asset: 2 ** level blocks, of which one is kept
        self._phases: Ints = np.zeros(0, np.int64)  # by asset: with which block it begins
        self._period_s = bound.period_s if bound else None
        self._block_s: float | None = None  # None: nothing had to be left out yet
        self.seen = 0

    def add(self, decoded: Decoded) -> None:
        """Takes the next records, and thins what is kept where it goes beyond the bound."""
        part = self._compact(decoded)
        self.seen += len(part.owners)
        self._parts.append(part.select(self._chosen(part)) if self._block_s else part)
        if self._bound and self._bytes() > self._bound.max_bytes:
            self._thin(self._bound)

    @property
    def kept(self) -> int:
        """Records that are kept."""
        return sum(len(part.owners) for part in self._parts)

    @property
    def note(self) -> str | None:
        """What a person should know; None where everything is kept."""
        if self._block_s is None or self.kept == self.seen:
            return None
        return (
            f"{self.seen - self.kept} of {self.seen} records were left out evenly, in blocks of {self._block_s:g} s: "
            "the others fill worker.max_history_mb"
        )

    def owners(self) -> tuple[list[str], Ints]:
        """Names of assets, and by record the number of its own."""
        return list(self._assets), self._joined("owners")

    def assets(self) -> list[str]:
        """(record,) the asset of each; equal names are one object."""
        names = list(self._assets)
        return [names[number] for number in self._joined("owners").tolist()]

    def names(self) -> list[str]:
        """(record,) the sensor of each, in long form."""
        names = list(self._sensors)
        return [names[number] for number in self._joined("names").tolist()]

    def times(self) -> Doubles:
        """(record,) seconds."""
        return self._joined("times")

    def cells(self) -> Doubles:
        """(record, sensor); float32 where a record is a row."""
        return self._joined("cells")

    def _joined(self, column: str) -> np.ndarray:
        return np.concatenate([getattr(part, column) for part in self._parts])

    def _bytes(self) -> int:
        return sum(len(part.owners) * _HEAD_BYTES + part.cells.nbytes for part in self._parts)

    def _compact(self, decoded: Decoded) -> _Part:
        owners = _numbers(self._assets, decoded.assets)
        new = np.array([zlib.crc32(name.encode()) for name in list(self._assets)[len(self._levels) :]], np.int64)
        self._levels = np.concatenate([self._levels, np.zeros(len(new), np.int64)])
        self._phases = np.concatenate([self._phases, new])
        if decoded.names:
            return _Part(owners, _numbers(self._sensors, decoded.names), decoded.times, decoded.cells)
        return _Part(owners, np.empty(0, np.int32), decoded.times, decoded.cells.astype(np.float32))

    def _chosen(self, part: _Part) -> Bools:
        """Which records lie in blocks that their asset keeps."""
        assert self._block_s is not None
        assert self._period_s is not None
        # Half a period: no row of long form, whose values lie about the grid, is cut in two.
        blocks = np.floor((part.times + self._period_s / 2) / self._block_s).astype(np.int64)
        every = (np.int64(1) << self._levels[part.owners]) - 1
        return np.asarray(((blocks + self._phases[part.owners]) & every) == 0)

    def _thin(self, bound: Bound) -> None:
        whole = _Part(*(self._joined(column) for column in ("owners", "names", "times", "cells")))
        self._parts = [whole]
        if self._block_s is None:
            self._period_s = self._period_s or _usual_step(whole)
            self._block_s = BLOCK_WINDOWS * bound.window * self._period_s
        while self._bytes() > _SLACK * bound.max_bytes:
            counts = np.bincount(self._parts[0].owners, minlength=len(self._levels))
            self._levels[counts * 2 > counts.max()] += 1
            self._parts = [self._parts[0].select(self._chosen(self._parts[0]))]


def _numbers(known: dict[str, int], names: list[str]) -> Ints:
    return np.array([known.setdefault(name, len(known)) for name in names], np.int32)


def _usual_step(part: _Part) -> float:
    """The median time between records of the asset, or sensor, that has the most; 1 s where there is none."""
    mine = part.owners == np.bincount(part.owners).argmax()
    if len(part.names):
        mine &= part.names == np.bincount(part.names[mine]).argmax()
    steps = np.diff(np.sort(part.times[mine]))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0
