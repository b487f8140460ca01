"""A broker inside the process: topics of several partitions, groups, and the ways a broker fails.

Nothing happens between calls: there is no thread, no clock and no chance in it, so that a run over it can be repeated.
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from zlib import crc32

from detector.errors import BrokerError
from detector.transports.memory.group import Group

_OFFSET = attrgetter("offset")


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A record as it lies in a partition."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None


@dataclass(slots=True)
class Log:
    """One partition. compacted: the newest record of a key stays, older ones go."""

    compacted: bool
    start: int = 0  # offset of the oldest record that retention left
    end: int = 0  # offset of the next record
    records: list[MemoryRecord] = field(default_factory=list)  # by offset

    def append(self, record: MemoryRecord) -> None:
        """Takes the next record; its offset is `end`."""
        self.records.append(record)
        self.end = record.offset + 1
        if self.compacted:
            newest = {kept.key: kept for kept in self.records}
            if len(self.records) > 2 * len(newest):
                self.records = sorted(newest.values(), key=_OFFSET)

    def read(self, offset: int, most: int) -> list[MemoryRecord]:
        """Up to `most` records from an offset on."""
        begin = bisect_left(self.records, offset, key=_OFFSET)
        return self.records[begin : begin + most]

    def delete_before(self, offset: int) -> None:
        """What retention does."""
        self.start = max(self.start, min(offset, self.end))
        self.records = self.read(self.start, len(self.records))


class MemoryBroker:
    """Topics and groups. sleep: how a client waits, seconds; a simulation lets its own clock pass.

    away: while it is set nothing is confirmed, committed or read.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self.sleep = sleep
        self.away = False
        self._topics: dict[str, list[Log]] = {}
        self._groups: dict[str, Group] = {}
        self._keyless = 0

    def create(self, topic: str, partitions: int, *, compacted: bool = False) -> None:
        """Makes a topic. One that exists stays as it is, and gets the partitions that it lacks."""
        logs = self._topics.setdefault(topic, [])
        logs += [Log(compacted) for _ in range(len(logs), partitions)]

    def partitions(self, topic: str) -> int:
        """How many a topic has; 0: there is no such topic."""
        return len(self._topics.get(topic, ()))

    def log(self, topic: str, partition: int) -> Log:
        """A partition of a topic that exists."""
        return self._topics[topic][partition]

    def append(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> int:
        """Stores a record and gives its offset. partition None: by the key, or in turn. Raises BrokerError."""
        count = self.partitions(topic)
        if not count:
            raise BrokerError(f"the broker has no topic {topic}", "run: watchkeeper topics --create")
        if partition is None:
            self._keyless += key is None
            partition = (self._keyless if key is None else crc32(key)) % count
        log = self.log(topic, partition)
        log.append(MemoryRecord(topic, partition, log.end, value, key, headers))
        return log.end - 1

    def group(self, name: str, topic: str) -> Group:
        """The group that shares a topic's partitions under this name."""
        return self._groups.setdefault(name, Group(lambda: self.partitions(topic)))


_brokers: dict[str, MemoryBroker] = {}


def broker_at(address: str) -> MemoryBroker:
    """The broker of an address (kafka.bootstrap_servers); it comes into being when it is first asked for."""
    return _brokers.setdefault(address, MemoryBroker())
