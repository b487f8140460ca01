"""Control messages: a message, or one plain line why it is none; what is read can be written and reckoned with."""

from datetime import UTC
from pathlib import Path
from random import Random

from detector.transports.control import parse_control
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import json_mutated

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
_NAMES = ("retrain_request", "model_published", "model_rejected", "incident_mark")


def one(data: bytes) -> bool:
    """Reads, and where it is read: writes, reads again, and does with its times what workers do."""
    message = parse_control(data)
    if isinstance(message, str):
        assert_plain(message)
        return False
    again = parse_control(message.model_dump_json().encode())
    assert again == message
    assert message.at.timestamp() <= 253_402_300_800  # year 9999
    assert message.at.tzinfo is UTC
    return True


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One field of the document changed."""
    return json_mutated(data, rng)


def seeds() -> list[bytes]:
    """The golden messages."""
    return [(GOLDEN / f"{name}.json").read_bytes() for name in _NAMES]


TARGET = Target(
    name="control",
    promise="a control message or one plain line; times can be compared",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b'"type":', b'"version":', b"retrain_request", b"model_published", b"model_rejected", b"incident_mark",
        b'"at":"0001-01-01T00:00:00+14:00"', b'"until":', b'"figures":[', b"NaN", b"1e400", b"\\ud800", b"\\u0000",
        b"\\n", b"2026-03-02T09:29:30", b"+23:59", b"[[[[[[", b"false_positive", b"null",
    ),
    longest=2048,
)  # fmt: skip
