"""Long records (one sensor each) become rows of one model's assets, under a watermark with a stated lateness.

A row is the set of values whose times fall into one cell of the model's period. An asset's watermark is the newest
event time among its own values; a row is complete when the watermark is `lateness_s` past its cell, and a value of a
complete row is late. All of that follows from the asset's values in their order, so neither polls nor other assets nor
restarts make a difference, and what waits is part of the asset's memory: a checkpoint writes both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain
from operator import itemgetter
from typing import ClassVar

import msgspec
import numpy as np

from detector.core.arrays import Doubles, Ints
from detector.core.component import Columns
from detector.core.ingest.fields import FLOAT32_MAX, LATEST_S
from detector.core.ingest.grid import Grid
from detector.core.slots import SlotRows

# An asset's values that wait at once: some 120 kB in a checkpoint, whose entries may hold 16 MiB. Of 100,000 assets,
# the default of limits.max_assets, a hundred share an entry.
MAX_WAITING = 8_192
LEAST_ROWS = 16  # that may wait, of however many sensors
# Late values in so many cells, each after the other and none on time between: the asset's clock was set back.
SET_BACK_ROWS = 10
LAST_OFFSET = 2**62


class WaitingRow(msgspec.Struct, array_like=True):
    """A row that still waits for sensors."""

    number: int  # of its cell of the grid
    offset: int  # of its last value
    cells: dict[int, float]  # column -> value


class WaitingRows(msgspec.Struct):
    """What a checkpoint has of an asset's waiting rows."""

    period_s: float
    open_from: int  # rows of cells below it are complete
    newest: float  # the watermark, seconds
    late_rows: int
    late_number: int
    rows: list[WaitingRow]


@dataclass(slots=True)
class _Memory:
    """The rows of one asset."""

    open_from: int = 0
    newest: float = -np.inf
    late_rows: int = 0  # cells of late values since the last value on time
    late_number: int = -1  # the newest of them
    rows: dict[int, WaitingRow] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)  # a heap of the rows' numbers

    def begin(self, number: int) -> WaitingRow:
        """A new row."""
        row = self.rows[number] = WaitingRow(number, 0, {})
        heappush(self.order, number)
        return row

    def pop(self) -> WaitingRow:
        """Takes the oldest row, which is complete from now on."""
        number = heappop(self.order)
        if number >= self.open_from:
            self.open_from = number + 1
        return self.rows.pop(number)

    def pop_all(self) -> list[WaitingRow]:
        """Takes all rows, oldest first."""
        return [self.pop() for _ in range(len(self.order))]

    def advance(self, opened: int, most: int) -> tuple[list[WaitingRow], int]:
        """Gives the rows of cells below `opened`, and the oldest where more than `most` wait; how many these are."""
        done: list[WaitingRow] = []
        while self.order and self.order[0] < opened:
            done.append(self.pop())
        self.open_from = max(self.open_from, opened)
        early = max(len(self.order) - most, 0)
        done += [self.pop() for _ in range(early)]
        return done, early

    def begin_anew(self, time: float, opened: int) -> list[WaitingRow]:
        """The clock was set back: gives all rows of the old one, and goes on from the new one."""
        done = self.pop_all()
        self.newest, self.open_from = time, max(opened, 0)
        return done

    def is_set_back(self, number: int) -> bool:
        """Whether late values have gone on for so long that the clock must have been set back."""
        if number > self.late_number or not self.late_rows:
            self.late_rows, self.late_number = self.late_rows + 1, number
        return self.late_rows >= SET_BACK_ROWS


_Ready = tuple[int, list[WaitingRow]]  # slot, its complete rows


@dataclass(frozen=True, slots=True)
class Assembled:
    """The rows that became complete, sorted by slot; and the positions of values that are in none."""

    rows: SlotRows  # offset: of a row's last value
    late: list[int]
    unknown: list[int]  # of a sensor that the model does not have
    overwritten: int  # values of a cell that had one already: the last one counts
    early: int  # rows that were released before their time, since too many values waited


class Assembler:
    """Assembles rows of `sensors` every `period_s` seconds. Memory: MAX_WAITING values an asset, or LEAST_ROWS rows."""

    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sensors: tuple[str, ...], period_s: float, lateness_s: float) -> None:
        self.sensors, self.period_s = sensors, period_s
        self._columns = {name: column for column, name in enumerate(sensors)}
        self._grid, self._lateness_s = Grid(period_s), lateness_s
        self._most_rows = max(MAX_WAITING // len(sensors), LEAST_ROWS)
        self._memories: dict[int, _Memory] = {}

    def add(self, slots: Ints, offsets: Ints, times: Doubles, values: Doubles, names: list[str]) -> Assembled:
        """Takes values, (value,) in order of arrival, and gives the rows that are complete now."""
        late, unknown, ready, overwritten, early = list[int](), list[int](), list[_Ready](), 0, 0
        numbers, opens = self._grid.numbers(times), self._grid.open_from(times, self._lateness_s)
        columns = zip(
            slots.tolist(), offsets.tolist(), times.tolist(), numbers.tolist(), opens.tolist(), values.tolist(),
            map(self._columns.get, names), strict=True,
        )  # fmt: skip
        for position, (slot, offset, time, number, opened, value, column) in enumerate(columns):
            if column is None:
                unknown.append(position)
                continue
            memory = self._memories.get(slot) or self._memories.setdefault(slot, _Memory())
            if number < memory.open_from:
                if not memory.is_set_back(number):
                    late.append(position)
                    continue
                ready.append((slot, memory.begin_anew(time, opened)))
            row = memory.rows.get(number)
            if row is None:
                row = memory.begin(number)
            elif column in row.cells:
                overwritten += 1
            row.cells[column], row.offset, memory.late_rows = value, offset, 0
            if time > memory.newest:  # noqa: PLR1730 a call less a value
                memory.newest = time
            if opened > memory.open_from or len(memory.rows) > self._most_rows:
                done, soon = memory.advance(opened, self._most_rows)
                ready.append((slot, done))
                early += soon
        return Assembled(self._rows(ready), late, unknown, overwritten, early)

    def waiting(self) -> Ints:
        """The slots that have rows which wait."""
        return np.array([slot for slot, memory in self._memories.items() if memory.rows], np.int64)

    def newest(self, slots: Ints) -> Doubles:
        """The watermark of each slot with a value, (slot,) seconds."""
        return np.array([self._memories[slot].newest for slot in slots.tolist()], np.float64)

    def release(self, slots: Ints) -> SlotRows:
        """All rows of slots that wait: their assets have fallen silent, or it is the end of a file."""
        return self._rows([(slot, self._memories[slot].pop_all()) for slot in slots.tolist()])

    def grow(self, capacity: int) -> None:
        """Needs no room: a slot's memory comes with its first value."""

    def forget(self, slots: Ints) -> None:
        """Drops what waits."""
        for slot in slots.tolist():
            self._memories.pop(slot, None)

    def adopt(self, old: "Assembler") -> None:
        """Takes over what waits; under other sensors or another period the values go where they belong now."""
        if (old.sensors, old.period_s) == (self.sensors, self.period_s):
            self._memories = old._memories
            return
        slots = np.array(list(old._memories), np.int64)
        dumped = old.dump(slots)["waiting"]
        for slot, waiting in zip(slots.tolist(), dumped, strict=True):
            self._memories[slot] = self._memory(waiting, old.sensors)

    def dump(self, slots: Ints) -> Columns:
        """The rows that wait, and the watermark."""
        return {"waiting": [self._dump(slot) for slot in slots.tolist()]}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up what `dump` gave, by the sensors it was written for. Raises ValueError for an impossible one."""
        for slot, waiting, sensors in zip(slots.tolist(), columns["waiting"], columns["written_sensors"], strict=True):
            if waiting is not None:
                _check(waiting, len(sensors))
                self._memories[slot] = self._memory(waiting, sensors)

    def take_up(
        self,
        slot: int,
        row_s: float,
        waiting: list[tuple[int, int, dict[int, float]]],
        cut: tuple[Sequence[str], float],
    ) -> None:
        """Rows (number, offset, cells) of a checkpoint by a program that cut them for all models alike.

        row_s: the time of the asset's newest row, seconds; -inf: it has none. cut: sensors and period of the rows.
        """
        sensors, period_s = cut[0] or self.sensors, cut[1] or self.period_s
        grid = Grid(period_s)
        open_from = int(grid.numbers(np.array([row_s]))[0]) + 1 if row_s >= 0 else 0
        rows = [WaitingRow(*row) for row in waiting if row[0] >= open_from]
        _check_rows(rows, len(sensors), period_s)
        newest = max([row_s, *grid.times(np.array([row.number for row in rows], np.int64)).tolist()])
        if newest >= 0:
            self._memories[slot] = self._memory(WaitingRows(period_s, open_from, newest, 0, -1, rows), sensors)

    def _dump(self, slot: int) -> WaitingRows | None:
        memory = self._memories.get(slot)
        if memory is None or memory.newest == -np.inf:
            return None
        rows = [memory.rows[number] for number in sorted(memory.rows)]
        return WaitingRows(
            self.period_s, memory.open_from, memory.newest, memory.late_rows, memory.late_number, rows
        )  # fmt: skip

    def _memory(self, waiting: WaitingRows, sensors: Sequence[str]) -> _Memory:
        """Memory of rows that were cut for `sensors`, and by another period perhaps."""
        memory = _Memory(waiting.open_from, waiting.newest, waiting.late_rows, waiting.late_number)
        grid = Grid(waiting.period_s)
        if other := grid.period_ns != self._grid.period_ns:
            memory.open_from = int(self._grid.open_from(np.array([waiting.newest]), self._lateness_s)[0])
            memory.late_rows, memory.late_number = 0, -1
        for row in waiting.rows:
            number = int(self._grid.numbers(grid.times(np.array([row.number])))[0]) if other else row.number
            for place, value in row.cells.items():
                column = self._columns.get(sensors[place])
                if column is not None:
                    entry = memory.rows.get(number) or memory.begin(number)
                    entry.cells[column], entry.offset = value, row.offset
        return memory

    def _rows(self, ready: list[_Ready]) -> SlotRows:
        """Sorted by slot; within a slot in the order in which they became complete."""
        ready.sort(key=itemgetter(0))
        rows = [row for _, rows in ready for row in rows]
        counts = [len(row.cells) for row in rows]
        values = np.full((len(rows), len(self.sensors)), np.nan, np.float32)
        columns = np.fromiter(chain.from_iterable(row.cells for row in rows), np.int64, sum(counts))
        cells = chain.from_iterable(row.cells.values() for row in rows)
        values[np.repeat(np.arange(len(rows)), counts), columns] = np.fromiter(cells, np.float64, sum(counts))
        return SlotRows(
            source=np.arange(len(rows)),
            slots=np.array([slot for slot, rows in ready for _ in rows], np.int64),
            offsets=np.array([row.offset for row in rows], np.int64),
            times=self._grid.times(np.array([row.number for row in rows], np.int64)),
            values=values,
        )


def _check(waiting: WaitingRows, sensors: int) -> None:
    """Raises ValueError for a memory that no feed can have left. sensors: how many the cells may count."""
    if not 0 <= waiting.newest < LATEST_S:
        raise ValueError("the checkpoint has a watermark at no moment")
    fine = min(waiting.open_from, waiting.late_rows, waiting.late_number + 1) >= 0 and waiting.period_s > 0
    fine &= max(waiting.open_from, waiting.late_number) * waiting.period_s < LATEST_S + waiting.period_s
    if not fine or waiting.late_rows >= SET_BACK_ROWS:
        raise ValueError("the checkpoint has rows that were complete at no moment")
    _check_rows(waiting.rows, sensors, waiting.period_s)


def _check_rows(rows: list[WaitingRow], sensors: int, period_s: float) -> None:
    """Raises ValueError for rows that no feed can have left."""
    fine = len({row.number for row in rows}) == len(rows)
    for row in rows:
        fine &= row.number >= 0 and row.number * period_s < LATEST_S and 0 <= row.offset <= LAST_OFFSET
        fine &= all(0 <= column < sensors and not abs(value) > FLOAT32_MAX for column, value in row.cells.items())
    if not fine:
        raise ValueError("the checkpoint has a waiting row that no feed can have given")
