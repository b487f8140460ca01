"""Control messages come from people and programs: each is a message, or one plain line that says why it is none."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detector.transports.control import parse_control

MARK = json.loads((Path(__file__).parents[2] / "golden" / "v1" / "incident_mark.json").read_bytes())


def _parsed(**changes: Any) -> Any:
    return parse_control(json.dumps({**MARK, **changes}).encode())


def test_a_strangers_key_cannot_write_into_the_log() -> None:
    """The line names the field, and nothing in its name ends the line or steers a terminal."""
    reason = _parsed(**{"a\nmodel refused\x1b[31m" + "x" * 500: 1})
    assert isinstance(reason, str)
    assert reason.isprintable()
    assert len(reason) < 250


def test_no_value_of_the_payload_is_repeated() -> None:
    """Not even that of `type`, which pydantic's own text repeats."""
    for field in MARK:
        reason = _parsed(**{field: {"hunter2": "hunter2"}})
        assert isinstance(reason, str), field
        assert "hunter2" not in reason
    assert "hunter2" not in _parsed(type="hunter2")


@pytest.mark.parametrize("written", ["2026-03-01T08:05:00", "2026-03-01T08:05:00Z", "2026-03-01T10:05:00+02:00"])
def test_times_are_in_utc_and_can_be_compared(written: str) -> None:
    """A time without a zone is UTC, as in the feed: it must not mean something else on another machine."""
    assert _parsed(at=written).at == datetime(2026, 3, 1, 8, 5, tzinfo=UTC)


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_outside_of_the_calendar_is_refused(written: str) -> None:
    """It is a moment in no calendar that Python has; reckoning with it would stop a worker."""
    assert "outside the years" in _parsed(at=written)
