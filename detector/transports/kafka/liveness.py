"""Whether a broker still answers where nothing comes: a poll of an idle feed looks the same with a broker and without.

A partition is asked for its end when nothing was heard for some seconds; another one each time, since one without a
leader does not mean that nobody is there. `now` is a monotonic time in seconds.
"""

from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detector.errors import RetriableError

_ASK_AFTER_S = 5.0
_AWAY_AFTER_S = 15.0
_ANSWER_MS = 3000


class Liveness:
    """When the broker was heard last. consumer: the group's member, whose connections are those that count."""

    def __init__(self, consumer: KafkaConsumer, servers: str, now: float) -> None:
        self._consumer, self._servers = consumer, servers
        self._heard, self._asked, self._turn = now, now, 0

    def heard(self, now: float) -> None:
        """Something came."""
        self._heard = now

    def check(self, partitions: Sequence[TopicPartition], now: float) -> None:
        """Asks, where it is time. partitions: those that are read. Blocks up to 3 s; raises RetriableError."""
        if not partitions:
            self._heard = now  # nothing is read, so nothing is missed
        if now - max(self._heard, self._asked) < _ASK_AFTER_S:
            return
        self._asked = now
        self._turn += 1
        partition = partitions[self._turn % len(partitions)]
        try:
            self._consumer.end_offsets([partition], timeout_ms=_ANSWER_MS)
            self._heard = now
        except KafkaError as error:
            silent_s = now - self._heard
            if silent_s < _AWAY_AFTER_S:
                return
            self._heard = now  # the next try gets its time
            raise RetriableError(
                f"no broker at {self._servers} has answered for {silent_s:.0f} s ({type(error).__name__})",
                "check the broker with 'watchkeeper check'; the watch goes on when one answers",
            ) from error
