"""Where reading stands: the offsets of the partitions that were resumed, and the seeks that go there."""

from collections.abc import Iterable
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import IllegalStateError, KafkaError


class Positions:
    """Partition -> offset of the next record, of partitions that were resumed; the client's own position follows."""

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic
        self.next: dict[int, int] = {}

    def of(self, partition: int) -> TopicPartition:
        """The partition as the client names it."""
        return TopicPartition(self._topic, partition)

    def lag(self) -> dict[int, int]:
        """Partition -> records left, by the end that the broker named with the last records that it gave."""
        with suppress(IllegalStateError):
            ends = {partition: self._consumer.highwater(self.of(partition)) for partition in self.next}
            return {n: max(end - self.next[n], 0) for n, end in ends.items() if end is not None}
        return {}  # a rebalance is under way

    def go_to(self, partition: int, offset: int) -> None:
        """Goes on at an offset. A partition that was taken away meanwhile is passed over: the next poll says so."""
        with suppress(IllegalStateError, AssertionError):
            self._consumer.seek(self.of(partition), offset)
            self.next[partition] = offset

    def rewind(self) -> None:
        """To what was given last: what the client took from the broker in a poll that failed comes again."""
        for partition, offset in self.next.items():
            self.go_to(partition, offset)

    def ask_again(self, partition: int, offset: int) -> None:
        """The client keeps a batch that failed, and turns in it for ever; moved away and back, it asks the broker."""
        with suppress(KafkaError, AssertionError):
            self._consumer.seek(self.of(partition), offset + 1)
            self._consumer.poll(timeout_ms=0, max_records=1)
        self.rewind()

    def forget(self, partitions: Iterable[int]) -> None:
        """These are not ours, or not resumed yet."""
        for partition in partitions:
            self.next.pop(partition, None)
