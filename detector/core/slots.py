"""Slots: which row of the state arrays belongs to which asset, and a poll's rows in the order of slots."""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Doubles, Floats, Ints


class AssetTable:
    """Hands out slots to (partition, asset) pairs and takes them back; lists are indexed by slot.

    >>> table = AssetTable()
    >>> table.take(0, "pump-1"), table.take(0, "pump-2"), table.take(0, "pump-1")
    (0, 1, 0)
    """

    def __init__(self) -> None:
        self.index: dict[tuple[int, str], int] = {}
        self.names: list[str] = []
        self.partitions: list[int] = []  # -1: the slot is free
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.index)

    def take(self, partition: int, asset: str) -> int:
        """The slot of an asset; a new one where it has none."""
        slot = self.index.get((partition, asset))
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
            self.names[slot], self.partitions[slot] = asset, partition
        else:
            slot = len(self.names)
            self.names.append(asset)
            self.partitions.append(partition)
        self.index[partition, asset] = slot
        return slot

    def release(self, slot: int) -> None:
        """Frees a slot."""
        del self.index[self.partitions[slot], self.names[slot]]
        self.partitions[slot] = -1
        self._free.append(slot)

    def of_partition(self, partition: int) -> list[int]:
        """The slots that belong to a partition."""
        return [slot for slot, owner in enumerate(self.partitions) if owner == partition]


@dataclass(frozen=True, slots=True)
class SlotRows:
    """Rows sorted by slot and, within a slot, in order of arrival."""

    source: Ints  # (row,) where each row stood before it was sorted
    slots: Ints  # (row,)
    offsets: Ints  # (row,)
    times: Doubles  # (row,) event time, seconds
    values: Floats  # (row, sensor) engineering units, NaN = missing

    def __len__(self) -> int:
        return len(self.slots)

    def at(self, chosen: Ints) -> "SlotRows":
        """The rows at ascending positions; the same object where these are all."""
        if len(chosen) == len(self):
            return self
        return SlotRows(
            self.source[chosen], self.slots[chosen], self.offsets[chosen], self.times[chosen], self.values[chosen]
        )


def sorted_rows(slots: Ints, times: Doubles, values: Floats) -> SlotRows:
    """Rows in order of arrival, sorted by slot; a row's offset is its place among those given.

    >>> sorted_rows(np.array([1, 0, 1]), np.array([5.0, 5.0, 6.0]), np.zeros((3, 2), np.float32)).times.tolist()
    [5.0, 5.0, 6.0]
    """
    order = np.argsort(slots, kind="stable")
    return SlotRows(order, slots[order], order, times[order], values[order])
