"""Batches that cannot be read: asked for again, and passed over where they stay so."""

import re
from bisect import bisect_left

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError

from detector.errors import RetriableError
from detector.transports.kafka.diagnosis import translate_error
from detector.transports.kafka.positions import Positions

_TRIES = 3  # a broken wire mends itself, a broken disk does not
_BATCH = re.compile(r"partition=(\d+)\D+offset (\d+)")  # how the client's message names a batch

Gaps = dict[int, tuple[int, int]]  # partition -> offsets that are gone: from, to


class DamagedBatches:
    """Goes on behind what cannot be read. reader: a client without a group, for looking at single offsets."""

    def __init__(self, reader: KafkaConsumer, positions: Positions, request_timeout_s: float) -> None:
        self._reader, self._positions = reader, positions
        self._timeout_ms = int(request_timeout_s * 1000)
        self._tries: dict[tuple[int, int], int] = {}  # partition and base offset of a batch -> how often it was corrupt

    def pass_over(self, message: str) -> Gaps:
        """Asks again; what stays corrupt is passed over. message: the client's, which names the batch.

        Raises RetriableError or BrokerError.
        """
        self._positions.rewind()
        batch = _BATCH.search(message)
        if batch is None:
            return self._pass_unnamed()
        partition, base = int(batch[1]), int(batch[2])
        tries = self._tries[partition, base] = self._tries.get((partition, base), 0) + 1
        structlog.get_logger().error("corrupt batch", partition=partition, offset=base, tries=tries)
        if tries <= _TRIES or partition not in self._positions.next:
            self._positions.ask_again(partition, self._positions.next.get(partition, base))
            return {}
        gone = self._positions.next[partition]
        after = self._first_behind(self._positions.of(partition), base, gone)
        del self._tries[partition, base]
        self._positions.go_to(partition, after)
        return {partition: (gone, after)}

    def _first_behind(self, partition: TopicPartition, base: int, offset: int) -> int:
        """The first offset behind the corrupt batch that begins at `base` and holds `offset`.

        The client does not say how long a batch is; but whatever offset of it is asked for, it names the same base.
        """

        def is_behind(asked: int) -> bool:
            found = _BATCH.search(self._complaint(partition, asked) or "")
            return found is None or int(found[2]) != base

        later = range(offset + 1, self._end(partition))
        return offset + 1 + bisect_left(later, True, key=is_behind)

    def _pass_unnamed(self) -> Gaps:
        """A header's name that is not UTF-8 ends the batch for the client, which does not say where: each is asked."""
        for partition, offset in self._positions.next.items():
            if self._complaint(self._positions.of(partition), offset) is None:
                continue
            structlog.get_logger().error("unreadable record", partition=partition, offset=offset)
            self._positions.go_to(partition, offset + 1)
            return {partition: (offset, offset + 1)}
        raise RetriableError("a batch is corrupt", "check the broker's disks")

    def _complaint(self, partition: TopicPartition, offset: int) -> str | None:
        """What the client says of a record that cannot be read; None where it can, or where there is none yet."""
        try:
            self._reader.assign([partition])
            self._reader.seek(partition, offset)
            if offset < self._end(partition):
                self._reader.poll(timeout_ms=self._timeout_ms, max_records=1)
        except CorruptRecordError as error:
            return str(error)
        except KafkaError as error:
            raise translate_error("looking for a record that cannot be read", error) from error
        return None

    def _end(self, partition: TopicPartition) -> int:
        try:
            return int(self._reader.end_offsets([partition])[partition])
        except KafkaError as error:
            raise translate_error("finding the end of a partition", error) from error
