"""What a topic refuses for its size, made smaller: dead letters are cut, scores are split, the rest needs a person.

The limit is the topic's max.message.bytes, counted after compression, and may change at any time. So nothing is
measured in advance: a refusal teaches that a message of that size is too large, and the next try is smaller.
"""

from collections.abc import Iterator

from detector.errors import BrokerError, RetriableError
from detector.transports.interface import Message, Stream
from detector.transports.kafka.topics import MESSAGE_BYTES
from detector.transports.messages import cut_dead_letter, split_scores

_ENVELOPE = 200  # bytes of a batch of one record beside key, value and headers
_LEAST = 1024  # bytes; below it a topic takes nothing of ours
_SHRINKABLE = (Stream.DEAD_LETTERS, Stream.SCORES)


class SizeLimits:
    """The sizes that topics were seen to refuse."""

    def __init__(self) -> None:
        self._limits: dict[str, int] = {}

    def fit(self, topic: str, message: Message) -> Iterator[Message]:
        """The message, or what it becomes for a topic that refused one of its size."""
        limit = self._limits.get(topic)
        if limit is None or size_of(message) <= limit:
            yield message
        elif message.stream is Stream.DEAD_LETTERS:
            yield cut_dead_letter(message, limit - _ENVELOPE)
        elif message.stream is Stream.SCORES and (halves := split_scores(message)):
            for half in halves:
                yield from self.fit(topic, half)
        else:
            yield message

    def refused(self, topic: str, message: Message) -> BrokerError:
        """Takes note of a refusal; the error to raise: to try again smaller, or one that a person must act on."""
        size = size_of(message)
        limit = MESSAGE_BYTES - _ENVELOPE if size > MESSAGE_BYTES else size // 2
        problem = f"{topic} refuses a message of {size} bytes for its size ({message.stream.value})"
        whole = message.stream is Stream.SCORES and not split_scores(message)
        if message.stream not in _SHRINKABLE or whole or limit < _LEAST:
            return BrokerError(problem, f"set max.message.bytes={2 * size} on {topic}")
        self._limits[topic] = min(limit, self._limits.get(topic, limit))
        return RetriableError(problem, f"what is sent there is made smaller; or raise max.message.bytes of {topic}")


def size_of(message: Message) -> int:
    """Bytes of a message on the wire, uncompressed."""
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return _ENVELOPE + len(message.value or b"") + len(message.key or b"") + headers
