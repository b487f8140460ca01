"""Where a record's fields lie, and what a record must hold to become a row: the same for every input format.

A format is one file: a `Parser`, which turns a payload into whatever object it likes, and reads a field from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from unicodedata import category

import numpy as np
from msgspec import UNSET

from detector.core.arrays import Bools, Doubles
from detector.core.ingest.rows import Record, Rejected
from schemas.config import Feed, TimestampForm
from schemas.feed import CellFault, Reason

FROM_KEY = "@key"
LATEST_S = 7_258_118_400.0  # 2200-01-01: later is a unit mistaken for another
NAME_BYTES = 200  # of UTF-8: a name stands in tables, checkpoints and, several times, in each alert
FLOAT32_MAX = float(np.finfo(np.float32).max)
ABSENT = UNSET  # what a parser gives for a head field that the record lacks
_PER_SECOND = {
    TimestampForm.SECONDS: 1.0,
    TimestampForm.MILLISECONDS: 1e3,
    TimestampForm.MICROSECONDS: 1e6,
    TimestampForm.NANOSECONDS: 1e9,
}

Path = tuple[str, ...]  # into nested objects


@dataclass(frozen=True, slots=True)
class Fields:
    """The paths that are read of each record of a feed."""

    asset: Path | None  # None: the record's key
    timestamp: Path
    sensor: Path | None  # long records only
    cells: tuple[Path, ...]  # wide: one a sensor; long: the value


@dataclass(frozen=True, slots=True)
class Rescued:
    """A record with bad cells."""

    parsed: Any  # as `Parser.parse` would give it
    faults: tuple[tuple[int, CellFault], ...]  # number of the cell, and what was wrong with it


class Parser(Protocol):
    """One input format: reads payloads whose fields lie at given paths."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What `parse` raises for a payload that cannot be read."""
        ...

    @property
    def parse(self) -> Callable[[bytes], Any]:
        """A payload as an object for the getters; a cell that is missing or null is NaN or None in it."""
        ...

    @property
    def asset(self) -> Callable[[Any], Any] | None:
        """Reads the asset (text or a number, ABSENT where there is none); None where the key is the asset."""
        ...

    @property
    def timestamp(self) -> Callable[[Any], Any]:
        """Reads the event time: a number, or a datetime where the feed has ISO 8601; ABSENT where there is none."""
        ...

    @property
    def sensor(self) -> Callable[[Any], Any] | None:
        """Reads the sensor's name, ABSENT where there is none; None for wide records."""
        ...

    @property
    def cells(self) -> Callable[[Any], Sequence[float | None]]:
        """Reads the values, in the order of the paths."""
        ...

    def rescue(self, payload: bytes) -> Rescued | None:
        """Reads a payload that `parse` refused with the bad cells as None; None where that does not help.

        Raises one of `faults` where a head field has another type.
        """
        ...

    def peek(self, payload: bytes) -> tuple[Any, Any]:
        """Asset and sensor of a payload whatever else is wrong with it; each ABSENT where it cannot be seen."""
        ...

    def reason(self, fault: Exception) -> tuple[Reason, str]:
        """What one of `faults` says, without anything of the payload."""
        ...


def fields_of(feed: Feed, sensors: Sequence[str]) -> Fields:
    """The paths of a feed. sensors: the columns of wide records. Raises KeyError for a sensor that a map leaves out.

    >>> fields_of(Feed(timestamp="meta.at", values="reading"), ["flow"])
    Fields(asset=('asset',), timestamp=('meta', 'at'), sensor=None, cells=(('reading', 'flow'),))
    """
    long = feed.form == "long"
    return Fields(
        asset=None if feed.asset == FROM_KEY else _path(feed.asset),
        timestamp=_path(feed.timestamp),
        sensor=_path(feed.sensor) if long else None,
        cells=(_path(feed.value),) if long else tuple(value_paths(feed, sensors)),
    )


def value_paths(feed: Feed, sensors: Sequence[str]) -> list[Path]:
    """Where each sensor of a wide record is. Raises KeyError for a sensor the configured map leaves out.

    >>> value_paths(Feed(values={"flow": "r.f"}), ["flow"])
    [('r', 'f')]
    """
    if isinstance(feed.values, dict):
        return [_path(feed.values[sensor]) for sensor in sensors]
    prefix = _path(feed.values) if feed.values else ()
    return [(*prefix, sensor) for sensor in sensors]


def seconds(moments: Sequence[Any], form: TimestampForm) -> Doubles:
    """Event times as seconds since 1970, (record,); a time without a zone is taken as UTC.

    >>> seconds([1_700_000_000_250], TimestampForm.MILLISECONDS).tolist()
    [1700000000.25]
    """
    per_second = _PER_SECOND.get(form)
    if per_second is None:
        return np.fromiter(map(_epoch, moments), np.float64, len(moments))
    return np.fromiter(moments, np.float64, len(moments)) / per_second


def key_text(key: bytes | None) -> str | None:
    r"""A record's key as text; None where it has none or is not UTF-8.

    >>> key_text(b"pump-1"), key_text(None), key_text(b"\xff")
    ('pump-1', None, None)
    """
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None


def usable_name(name: str) -> bool:
    r"""Whether tables, logs and alerts can hold the name of an asset or sensor: short, not empty, and printable.

    >>> usable_name("pump 1"), usable_name("pump\x1b[2J"), usable_name("x" * 201), usable_name("")
    (True, False, False, False)
    """
    printable = name.isprintable() or all(sign.isprintable() or category(sign) == "Zs" for sign in name)
    return bool(name) and len(name) <= NAME_BYTES and printable and len(name.encode()) <= NAME_BYTES


def missing_field(feed: Feed, asset: Any, moment: Any, sensor: Any) -> tuple[Reason, str] | None:
    """What is wrong with a record's head fields; None where they are all there and fit. sensor: None in wide records.

    >>> missing_field(Feed(), "p1", ABSENT, None)
    (<Reason.NO_TIMESTAMP: 'no_timestamp'>, 'no timestamp at timestamp')
    """
    if asset in (ABSENT, "", None):
        return Reason.NO_ASSET, f"no asset at {feed.asset}"
    if not usable_name(str(asset)):
        return Reason.BAD_NAME, _unusable("asset", str(asset))
    if moment is ABSENT:
        return Reason.NO_TIMESTAMP, f"no timestamp at {feed.timestamp}"
    if sensor is ABSENT:
        return Reason.NO_VALUES, f"no sensor at {feed.sensor}"
    if sensor is not None and not usable_name(sensor):
        return Reason.BAD_NAME, _unusable("sensor", sensor)
    return None


def plausible(feed: Feed, records: Sequence[Record], times: Doubles, absent: Bools, rejected: list[Rejected]) -> Bools:
    """False for records with an implausible time or without the field of any sensor, (record,).

    times: (record,) seconds; absent: (record,) no field is there. What is not plausible is added to `rejected`.
    """
    own = np.fromiter((r.timestamp or -1 for r in records), np.float64, len(records)) / 1e3
    wild = ~((times >= 0) & (times < LATEST_S))
    future = (own > 0) & (times > own + feed.max_future_s) & ~wild
    fine: Bools = np.logical_not(wild | future | absent)
    for index in np.flatnonzero(~fine).tolist():
        if wild[index]:
            reason, detail = Reason.BAD_TIMESTAMP, "outside 1970 to 2200: check feed.timestamp_form"
        elif future[index]:
            ahead = times[index] - own[index]
            reason, detail = Reason.FUTURE_TIMESTAMP, f"{ahead:.0f} s after the transport's own time"
        elif feed.form == "wide":
            reason, detail = Reason.NO_VALUES, "none of the configured sensors is present"
        else:
            reason, detail = Reason.NO_VALUES, f"no value at {feed.value}"
        rejected.append(Rejected(records[index], reason, detail))
    return fine


def _unusable(what: str, name: str) -> str:
    long = len(name) > NAME_BYTES or (name.isprintable() and bool(name))
    return f"the {what}'s name " + (
        f"is longer than {NAME_BYTES} bytes" if long else "is empty or has a sign that is not printable"
    )


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
