"""A span of the input as history: by time or by offset, without joining a group and without committing."""

from collections.abc import Sequence
from datetime import UTC, datetime

from detector.core.placement import match
from detector.errors import ConfigError
from detector.transports.package import Span
from detector.transports.registry import transport_of
from schemas.config import Settings
from trainer.data.history import History
from trainer.data.records import Gatherer
from trainer.data.thinning import Bound


def parse_span(text: str) -> Span:
    """`BEGIN..END`: two ISO 8601 times or two offsets; either side may be empty. Raises ConfigError."""
    begin, dots, end = text.partition("..")
    if not dots:
        raise ConfigError(f"--span {text!r} has no '..'", "write BEGIN..END with ISO 8601 times or offsets")
    if (begin + end).isdigit():
        return Span(begin_offset=int(begin) if begin else None, end_offset=int(end) if end else None)
    return Span(begin_ms=_milliseconds(begin), end_ms=_milliseconds(end))


def topic_history(
    settings: Settings,
    span: Span,
    sensors: Sequence[str] | None,
    period_s: float | None,
    bound: Bound | None = None,
    model: str | None = None,
) -> History:
    """The span's records as history. Blocks until the span is read. Raises BrokerError, DataError.

    bound: beyond it blocks of time are left out; None keeps everything.
    model: only the assets that the watch rules give to it, where a rule names it; the topic may hold others.
    """
    rules = settings.watch
    named = model is not None and any(rule.model == model for rule in rules)
    watched = (lambda asset: match(rules, asset) == model) if named else None
    source = f"topic {settings.topics.input}, {described(span)}"
    gatherer = Gatherer(source, settings.feed, sensors, period_s, bound, watched)
    for records in transport_of(settings).read_span(settings, span):
        gatherer.add(records)
    return gatherer.history()


def described(span: Span) -> str:
    """The span, for a person."""
    if span.begin_offset is not None or span.end_offset is not None:
        return f"offsets {span.begin_offset or 0} to {span.end_offset if span.end_offset is not None else 'end'}"
    begin, end = (_moment(ms) for ms in (span.begin_ms, span.end_ms))
    return f"{begin or 'its beginning'} to {end or 'its end'}"


def _milliseconds(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--span: {text!r} is no ISO 8601 time", "write for example 2026-01-31T12:00") from None
    return max(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000), 0)


def _moment(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
