"""Reading a partition's state back from the compacted state topic."""

import time
from collections.abc import Callable, Mapping

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detector.errors import RetriableError
from detector.transports.interface import nothing
from detector.transports.kafka.clients import Clients
from detector.transports.kafka.diagnosis import translate_error
from schemas.config import Settings

_POLL_MS = 200


class Changelog:
    """The state topic. reader: a client without a group; blocks in its constructor where delivery is exactly_once."""

    def __init__(self, settings: Settings, clients: Clients, reader: KafkaConsumer) -> None:
        self._settings, self._reader = settings, reader
        once = settings.delivery == "exactly_once"
        self._uncommitted = clients.reader(committed=False) if once else None

    def read(self, partition: int, advanced: Callable[[], None] = nothing) -> Mapping[bytes, bytes]:
        """The newest entry of each key, once the changelog is read to its end. Raises RetriableError, BrokerError."""
        log = TopicPartition(self._settings.topics.state, partition)
        if partition not in (self._reader.partitions_for_topic(log.topic) or ()):
            problem = f"{log.topic} has no partition {partition}"
            remedy = f"give it as many as {self._settings.topics.input} has; the watch waits for it"
            raise RetriableError(problem, remedy)
        try:
            self._await_transactions(log, advanced)
            entries = self._read(log, advanced)
        except KafkaError as error:
            raise translate_error(f"reading the state of partition {partition}", error) from error
        return {key: value for key, value in entries.items() if value is not None}

    def close(self) -> None:
        """Closes the client of its own."""
        if self._uncommitted is not None:
            self._uncommitted.close(autocommit=False, timeout_ms=500)

    def _read(self, log: TopicPartition, advanced: Callable[[], None]) -> dict[bytes, bytes | None]:
        self._reader.assign([log])
        end = self._reader.end_offsets([log])[log]
        self._reader.seek(log, self._reader.beginning_offsets([log])[log])
        entries: dict[bytes, bytes | None] = {}
        patience_s = self._settings.limits.delivery_timeout_s
        deadline = time.monotonic() + patience_s
        while self._reader.position(log) < end:
            for record in self._reader.poll(timeout_ms=_POLL_MS).get(log, ()):
                if record.key is None:  # not ours: a compacted topic takes none
                    structlog.get_logger().warning(
                        "state record without a key passed over", topic=log.topic, partition=log.partition,
                        offset=record.offset, remedy="see who else writes to the state topic",
                    )  # fmt: skip
                else:
                    entries[record.key] = record.value
                deadline = time.monotonic() + patience_s
            advanced()  # it has a deadline of its own
            if time.monotonic() > deadline:
                raise RetriableError(f"the state of partition {log.partition} did not come", "check the broker")
        return entries

    def _await_transactions(self, log: TopicPartition, advanced: Callable[[], None]) -> None:
        """A member that was killed may have left a transaction open: until it ends, nobody knows what the state is."""
        if self._uncommitted is None:
            return
        patience_s = self._settings.kafka.transaction_timeout_s + self._settings.limits.delivery_timeout_s
        deadline, logged = time.monotonic() + patience_s, False
        while self._reader.end_offsets([log])[log] < self._uncommitted.end_offsets([log])[log]:
            if time.monotonic() > deadline:
                raise RetriableError(
                    f"a transaction on {log.topic}/{log.partition} does not end",
                    "find it with kafka-transactions.sh find-hanging; docs/how-to/choose-a-delivery.md says what then",
                )
            if not logged:
                structlog.get_logger().info("waiting for an open transaction", partition=log.partition)
            logged = True
            advanced()
            time.sleep(_POLL_MS / 1000)
