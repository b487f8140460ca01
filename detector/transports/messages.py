"""From the core's outcome to messages: the only place where outputs become bytes."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec
import numpy as np

from detector.core.ingest.rows import Rejected
from detector.core.outcome import Outcome, ScoreBlock
from detector.transports.interface import Message, Stream
from schemas.alert import Alert
from schemas.feed import DeadLetter, DeadLetterLine

HEADER_PREFIX = "watchkeeper."
_CLOUDEVENT = (("content-type", b"application/cloudevents+json"),)
_PACKED = ("offsets", "times_s", "scores", "flags")  # arrays of a scores message, one entry a row
_encode = msgspec.json.Encoder().encode


def outcome_messages(outcome: Outcome) -> Iterator[Message]:
    """Everything an outcome has to tell, dead letters first."""
    for rejected in outcome.dead_letters:
        yield dead_letter_message(rejected)
    for block in outcome.scores:
        yield score_message(block)
    for alert in outcome.alerts:
        yield alert_message(alert)
    for request in outcome.requests:
        yield Message(Stream.CONTROL, request.model_dump_json().encode(), request.model.encode())


def alert_message(alert: Alert) -> Message:
    """A CloudEvent in structured mode, keyed by asset so that an asset's alerts stay in order."""
    return Message(Stream.ALERTS, alert.model_dump_json().encode(), alert.subject.encode(), _CLOUDEVENT)


def score_message(block: ScoreBlock) -> Message:
    """Packed scores (schemas.feed.Scores), encoded from arrays: pydantic would cost more than the scoring."""
    scores = block.scores.astype(object)
    scores[np.isnan(block.scores)] = None
    body = {
        "version": 1,
        "asset": block.asset,
        "model": block.model,
        "model_version": block.model_version,
        "topic": block.topic,
        "partition": block.partition,
        "threshold": block.threshold,
        "offsets": block.offsets.tolist(),
        "times_s": block.times.tolist(),
        "scores": scores.tolist(),
        "flags": block.flags.tolist(),
    }
    return Message(Stream.SCORES, _encode(body), block.asset.encode())


def dead_letter_message(rejected: Rejected) -> Message:
    """The original bytes, with coordinates and the reason as headers after the record's own."""
    record = rejected.record
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=rejected.reason,
        detail=rejected.detail[:300],
    )
    own = [(name, value) for name, value in record.headers if value is not None]
    ours = [
        (HEADER_PREFIX + name, str(value).encode())
        for name, value in letter.model_dump(mode="json", exclude_none=True).items()
    ]
    return Message(Stream.DEAD_LETTERS, record.value, record.key, (*own, *ours))


def cut_dead_letter(message: Message, most: int) -> Message:
    """A dead letter of about `most` bytes: the value is cut, and a header of its own says how long it was.

    Where key and headers of the record alone are longer, they go too; coordinates and reason always stay.
    """
    cut = (HEADER_PREFIX + "cut_from_bytes", str(len(message.value or b"")).encode())
    ours = tuple((name, text) for name, text in message.headers if name.startswith(HEADER_PREFIX))
    key, headers = message.key, (*message.headers, cut)
    if _length(headers) + len(key or b"") > most // 2:
        key, headers = None, (*ours, cut)
    room = max(most - _length(headers) - len(key or b""), 0)
    value = None if message.value is None else message.value[:room]
    return replace(message, value=value, key=key, headers=headers)


def split_scores(message: Message) -> list[Message]:
    """A scores message as two with half of the rows each; empty where it has one row."""
    body = msgspec.json.decode(message.value or b"{}")
    middle = len(body["offsets"]) // 2
    if not middle:
        return []
    halves = [{name: body[name][part] for name in _PACKED} for part in (slice(middle), slice(middle, None))]
    return [replace(message, value=_encode(body | half)) for half in halves]


def _length(headers: Iterable[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def read_dead_letter(headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
    """The coordinates and reason from a dead letter's headers. Raises pydantic's ValidationError."""
    fields: dict[str, str | int] = {
        name.removeprefix(HEADER_PREFIX): value.decode()
        for name, value in headers
        if name.startswith(HEADER_PREFIX) and value is not None
    }
    # Headers are text; a version is a number by contract, and only by contract.
    return DeadLetter.model_validate({**fields, "version": int(fields.get("version", 0))})


def dead_letter_line(message: Message) -> bytes:
    """The same as one JSON line, for files."""
    line = DeadLetterLine(
        dead_letter=read_dead_letter(message.headers),
        key=None if message.key is None else base64.b64encode(message.key).decode(),
        value=None if message.value is None else base64.b64encode(message.value).decode(),
    )
    return line.model_dump_json().encode()
