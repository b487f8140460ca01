"""Reading state back: what is not ours in the topic is a line in the log, and no traceback."""

from types import SimpleNamespace
from typing import Any, cast

from kafka import KafkaConsumer, TopicPartition
from structlog.testing import capture_logs

from detector.transports.kafka.changelog import Changelog
from detector.transports.kafka.clients import Clients
from schemas.config import Settings


class _Reader:
    """A client whose topic holds the given keys and values."""

    def __init__(self, entries: list[tuple[bytes | None, bytes | None]]) -> None:
        self._entries, self._at = entries, 0

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0}

    def assign(self, _partitions: object) -> None:
        self._at = 0

    def seek(self, _partition: object, offset: int) -> None:
        self._at = offset

    def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, len(self._entries))

    def position(self, _partition: object) -> int:
        return self._at

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        del timeout_ms
        self._at = len(self._entries)
        log = TopicPartition(Settings().topics.state, 0)
        return {log: [SimpleNamespace(key=k, value=v, offset=n) for n, (k, v) in enumerate(self._entries)]}


def test_a_record_without_a_key_is_passed_over() -> None:
    """The other entries count; the line says where it lies and what to do."""
    reader = _Reader([(b"marker", b"1"), (None, b"who?"), (b"bucket-1", b"2"), (b"bucket-2", None)])
    changelog = Changelog(Settings(), cast("Clients", None), cast("KafkaConsumer", reader))
    with capture_logs() as logs:
        assert changelog.read(0) == {b"marker": b"1", b"bucket-1": b"2"}
    assert [(line["log_level"], line["offset"]) for line in logs] == [("warning", 1)]
