"""Faults of the feed: records that nobody can read, rows that nobody should believe."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from schemas.alert import AlertKind, AlertState, Condition
from schemas.feed import RowFlag
from tests.reliability.faults.bad_feed import (
    HARMLESS,
    NEVER_READ,
    SECONDS,
    BadFeed,
    BadFeedOutcome,
    BadRecord,
    bad_feed_fault,
    ripple,
    row,
    spread,
)
from tests.reliability.faults.ledger import Entry
from tests.support.installation import START_S
from tests.support.kafka_client import Message
from tests.support.malformed import BAD_CELLS, MALFORMED, body

ODD = "odd-1"


def _unreadable(*kinds: str) -> list[BadRecord]:
    return [BadRecord(Message(MALFORMED[kind][0], key=b"pump-1"), MALFORMED[kind][1].value) for kind in kinds]


def _bad_cells(*kinds: str) -> list[BadRecord]:
    """Rows of the odd asset that miss a cell."""
    return [BadRecord(Message(BAD_CELLS[kind].replace(b"pump-1", ODD.encode()), key=ODD.encode())) for kind in kinds]


bad_feed_fault(
    BadFeed(
        "malformed JSON and UTF-8",
        spread(_unreadable("random bytes", "cut off", "empty", "not UTF-8", "no object", "null")),
    )
)
bad_feed_fault(
    BadFeed("nesting bomb", spread(_unreadable("arrays in arrays", "nested too deeply in an unknown field"), 10))
)
bad_feed_fault(
    BadFeed(
        "NaN, Inf and 1e308",
        spread(
            _bad_cells("the word NaN", "the word Infinity", "the word -Infinity", "1e308", "1e400", "beyond 32 bits")
        ),
    )
)
bad_feed_fault(
    BadFeed(
        "missing, extra and wrong-typed fields",
        spread(
            [
                *_unreadable("no asset", "an empty asset", "no timestamp", "no sensor"),
                *_bad_cells("a text for a number"),
                *_unreadable("a text for the timestamp", "an object for the asset"),
                *_unreadable("milliseconds for seconds", "before 1970"),
                BadRecord(Message(body(asset=ODD, flow=None))),
                BadRecord(Message(body(asset=ODD, timestamp=START_S + 1, pressure=3.0, note={"by": ["hand"]}))),
            ]
        ),
    )
)


def _keys_and_tombstones() -> Iterator[BadRecord]:
    for second in range(SECONDS):
        yield [
            BadRecord(Message(None), "tombstone"),
            BadRecord(Message(None, key=b"pump-1"), "tombstone"),
            row(ODD, second, key=None),
            row(ODD, second, key=b"\xff\xfe"),
            row(ODD, second, key=b"pump-1"),  # the key of one asset, the row of another
        ][second % 5]


bad_feed_fault(BadFeed("null key and tombstone", list(_keys_and_tombstones())))

_LARGE = BadRecord(Message(body(extra="x" * 10_000_000)), "too_large")
bad_feed_fault(BadFeed("giant message", spread([_LARGE, *_unreadable("too large", "too large")], 6)))


def _corrupt_headers() -> Iterator[BadRecord]:
    kinds = [
        (("watchkeeper.reason", b"too_large"), ("watchkeeper.offset", b"-1"), ("watchkeeper.version", b"x")),
        (("", b""), ("traceparent", b"\xff\x00\n\x1b[2J")),
        tuple((f"header-{number}", bytes(10)) for number in range(1000)),
        (("x" * 10_000, b"y" * 100_000),),
    ]
    for second in range(SECONDS):
        headers = kinds[second % len(kinds)]
        yield row(ODD, second, headers=headers) if second % 3 else BadRecord(Message(b"{", headers=headers), "not_json")


bad_feed_fault(BadFeed("corrupt headers", list(_corrupt_headers())))


class _NotText(str):
    """A header's name as a client of another language can write it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def _nameless_headers() -> Iterator[BadRecord]:
    for second in range(SECONDS):
        yield row(ODD, second, 10.0 + ripple(second), 50.0 - ripple(second))
        # Larger than a batch, and so in one of its own: for the client a batch ends with the record it cannot read.
        value = body(asset=ODD, extra="x" * 20_000)
        bad = Message(value, headers=((_NotText("name"), b""),))
        yield BadRecord(bad, NEVER_READ) if second % 30 == 15 else HARMLESS


def _said(found: BadFeedOutcome) -> Iterator[str]:
    if found.log.count("records lost before they were read") < 3:
        yield "not every gap was said"


bad_feed_fault(BadFeed("header name that is not UTF-8", list(_nameless_headers()), _said))


def _out_of_time() -> Iterator[BadRecord]:
    late: Entry = (ODD, None, int(RowFlag.LATE))
    for second in range(SECONDS):
        yield [
            row(ODD, second),
            replace(row(ODD, second - 1), becomes=late),  # the time of the row before
            replace(row(ODD, second - 12), becomes=late),
            replace(row(ODD, second + 2 * 3600), becomes="future_timestamp"),
        ][second % 4]


bad_feed_fault(BadFeed("duplicate, late and future timestamps", list(_out_of_time())))


def _clock_jumps() -> Iterator[BadRecord]:
    for second in range(SECONDS):
        jump_s = 0 if second < 30 else -3600 if second < 60 else 1800
        yield row(ODD, second + jump_s, 10.0 + ripple(second), 50.0 - ripple(second))


def _flags(found: BadFeedOutcome) -> Counter[RowFlag]:
    rows = [entry for entry in found.entries if not isinstance(entry, str)]
    return Counter({flag: sum(bool(entry[2] & flag) for entry in rows) for flag in RowFlag})


def _clock_reset_once(found: BadFeedOutcome) -> Iterator[str]:
    flags = _flags(found)
    if (flags[RowFlag.LATE], flags[RowFlag.CLOCK_RESET], flags[RowFlag.GAP]) != (9, 1, 1):
        yield f"a clock set back and forth gave {flags}"
    if found.alerts:
        yield f"clock jumps raised {[alert.data.message for alert in found.alerts]}"


bad_feed_fault(BadFeed("clock jumps", list(_clock_jumps()), _clock_reset_once))


def _stuck_only(found: BadFeedOutcome) -> Iterator[str]:
    told = [(alert.data.kind, alert.data.state, alert.data.condition) for alert in found.alerts]
    if told != [(AlertKind.QUALITY, AlertState.OPENED, Condition.STUCK)] * 2:
        yield f"two stuck sensors gave {told}"


bad_feed_fault(BadFeed("flatline", [row(ODD, second) for second in range(SECONDS)], _stuck_only))


def _other_units() -> Iterator[BadRecord]:
    for second in range(SECONDS):
        wave = ripple(second)
        yield row(ODD, second, (10.0 + wave) * (60 if second >= 40 else 1), 50.0 - wave)  # litres an hour


def _one_incident(found: BadFeedOutcome) -> Iterator[str]:
    process = [alert for alert in found.alerts if alert.data.kind is AlertKind.PROCESS]
    if len({alert.data.incident for alert in process}) != 1 or not 1 <= len(process) <= 3:
        yield f"a sensor in other units gave {[alert.data.message for alert in process]}"
    if len(process) != len(found.alerts):
        yield "a sensor in other units raised an alarm of data quality"


bad_feed_fault(BadFeed("unit change", list(_other_units()), _one_incident))

_CROWD = 40  # assets that still find room
_EACH = 20  # new ones a second


def _strangers() -> Iterator[BadRecord]:
    over: Entry
    for number in range(SECONDS * _EACH):
        asset = f"odd-{number}"
        over = (asset, None, int(RowFlag.OVER_LIMIT))
        yield replace(row(asset, number // _EACH), becomes=None if number < _CROWD else over)


def _known_still_watched(found: BadFeedOutcome) -> Iterator[str]:
    if found.alerts:
        yield f"{len(found.alerts)} alerts of assets that sent one row"
    if found.peak_mib > 400:
        yield f"assets without number took {found.peak_mib:.0f} MiB"


bad_feed_fault(
    BadFeed(
        "explosion of asset ids",
        list(_strangers()),
        _known_still_watched,
        sections={"limits": {"max_assets": 8 + _CROWD}},
    )
)


def _padded(second: int) -> BadRecord:
    """A row that is nearly a megabyte of blanks: a kilobyte on the wire."""
    bad_record = row(ODD, second, 10.0 + ripple(second))
    return replace(
        bad_record, message=replace(bad_record.message, value=(bad_record.message.value or b"") + b" " * 1_000_000)
    )


def _in_bounds(found: BadFeedOutcome) -> Iterator[str]:
    if found.peak_mib > 500:
        yield f"a compression bomb took {found.peak_mib:.0f} MiB"


bad_feed_fault(
    BadFeed(
        "compression bomb",
        [_LARGE if second % 30 == 15 else _padded(second) for second in range(SECONDS)],
        _in_bounds,
        compression="gzip",
    )
)
