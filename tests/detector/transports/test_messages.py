"""Messages that must become smaller: what is whole afterwards, and what says that the rest is gone."""

import msgspec
import numpy as np
import pytest

from detector.core.ingest.rows import Rejected
from detector.core.outcome import ScoreBlock
from detector.errors import BrokerError, RetriableError
from detector.transports.interface import Message, Stream
from detector.transports.kafka.sizes import SizeLimits, size_of
from detector.transports.messages import dead_letter_line, dead_letter_message, read_dead_letter, score_message
from schemas.feed import DeadLetterLine, Reason
from tests.support.plant import FakeRecord


def letter(size: int, key: bytes | None = b"pump-1", header: bytes = b"1") -> Message:
    record = FakeRecord(7, b"x" * size, key=key, headers=(("trace", header),))
    return dead_letter_message(Rejected(record, Reason.NOT_JSON, "no"))


def scores(rows: int) -> Message:
    values = np.arange(rows, dtype=np.float64)
    values[::3] = np.nan
    count = np.arange(rows)
    return score_message(
        ScoreBlock("a", "m", "v", "sensors", 0, 4.0, count, count.astype(np.float64), values, count % 2)
    )


def learned(message: Message, limit: int) -> list[Message]:
    """What goes out once a topic with a limit has taught it."""
    sizes = SizeLimits()
    for _ in range(20):
        parts = list(sizes.fit("t", message))
        large = next((part for part in parts if size_of(part) > limit), None)
        if large is None:
            return parts
        error = sizes.refused("t", large)
        if not isinstance(error, RetriableError):
            raise error
    raise AssertionError("it never fits")


@pytest.mark.parametrize("size", [30_000, 3_000_000])
@pytest.mark.parametrize(("key", "header"), [(b"pump-1", b"1"), (b"k" * 200_000, b"1"), (None, b"h" * 200_000)])
def test_a_dead_letter_is_cut_to_what_the_topic_takes(size: int, key: bytes | None, header: bytes) -> None:
    """Coordinates and reason are whole, the length that it had stands in a header, and a file's line says it too."""
    [cut] = learned(letter(size, key, header), 10_000)
    read = read_dead_letter(cut.headers)
    assert (read.offset, read.reason, read.cut_from_bytes) == (7, Reason.NOT_JSON, size)
    assert cut.value
    assert set(cut.value) == {ord("x")}
    line = DeadLetterLine.model_validate_json(dead_letter_line(cut))
    assert line.dead_letter.cut_from_bytes == size
    if len(key or b"") + len(header) < 100:
        assert (cut.key, cut.headers[0]) == (key, ("trace", header))


def test_what_fits_is_as_it_was() -> None:
    """No header says that it was cut, and what was refused once leaves small messages alone."""
    assert learned(letter(100), 10_000) == [letter(100)]
    sizes = SizeLimits()
    assert isinstance(sizes.refused("t", letter(50_000)), RetriableError)
    assert list(sizes.fit("t", letter(100))) == [letter(100)]
    assert list(sizes.fit("other", letter(50_000))) == [letter(50_000)]
    assert read_dead_letter(letter(100).headers).cut_from_bytes is None


def test_scores_are_split_without_a_row_lost() -> None:
    """All parts together are the message; every part has the head fields."""
    whole = scores(3001)
    parts = [msgspec.json.decode(part.value or b"") for part in learned(whole, 10_000)]
    assert len(parts) > 8
    body = msgspec.json.decode(whole.value or b"")
    for name in ("offsets", "times_s", "scores", "flags"):
        assert [value for part in parts for value in part[name]] == body[name]
    assert {part["model_version"] for part in parts} == {"v"}


@pytest.mark.parametrize(
    "message",
    [
        Message(Stream.STATE, b"s" * 50_000, b"bucket-1"),
        Message(Stream.ALERTS, b"a" * 50_000, b"pump"),
        scores(1),
        letter(10),
    ],
)
def test_what_cannot_be_made_smaller_names_topic_and_setting(message: Message) -> None:
    """A person must act: one line with the remedy."""
    with pytest.raises(BrokerError, match=r"t refuses a message of \d+ bytes .* set max.message.bytes=\d+ on t"):
        learned(message, 20)
