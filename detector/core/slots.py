"""Slots: which row of the state arrays belongs to which asset of which partition."""


class AssetTable:
    """Hands out slots to (partition, asset) pairs and takes them back; lists are indexed by slot."""

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
