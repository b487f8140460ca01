"""A broker that is away is missed on an idle feed too, and only then."""

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from detector.errors import RetriableError
from detector.transports.kafka.liveness import Liveness


class Asked:
    """A client that writes down which partitions it is asked for; those in `leaderless` do not answer."""

    def __init__(self, leaderless: set[int]) -> None:
        self.leaderless = leaderless
        self.partitions: list[int] = []

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        self.partitions += [partition.partition for partition in partitions]
        if self.leaderless & {partition.partition for partition in partitions}:
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, 0)


def watch_idle(client: Asked, count: int, seconds: int) -> Liveness:
    """Checks twice a second, as an idle loop does."""
    liveness = Liveness(client, "127.0.0.1:9", 0.0)
    for half in range(2 * seconds):
        liveness.check([TopicPartition("t", number) for number in range(count)], half / 2)
    return liveness


def test_nobody_answers() -> None:
    """An error between 15 and 20 s, that names the servers and how long."""
    watch_idle(Asked({0, 1}), 2, 15)
    with pytest.raises(RetriableError, match=r"no broker at 127\.0\.0\.1:9 has answered for 15 s"):
        watch_idle(Asked({0, 1}), 2, 20)


def test_one_partition_without_a_leader_is_not_a_broker_that_is_away() -> None:
    """Another partition is asked each time, every five seconds."""
    client = Asked({0})
    watch_idle(client, 2, 60)
    assert set(client.partitions) == {0, 1}
    assert len(client.partitions) <= 60 / 5


def test_a_feed_that_comes_needs_no_question() -> None:
    """Records are an answer, and a member without partitions misses nothing."""
    client = Asked({0})
    liveness = Liveness(client, "127.0.0.1:9", 0.0)
    for second in range(60):
        liveness.heard(float(second))
        liveness.check([TopicPartition("t", 0)], float(second))
    watch_idle(client, 0, 60)
    assert client.partitions == []
