"""Bytes to arrays: decodes a poll's records together, and says of each bad one why it cannot be read.

A msgspec type is built from the configured field paths, so a record is parsed, checked and its unknown fields skipped
in one pass; the accepted ones become arrays in one step. A record's fault is a dead letter, never an exception.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from detector.core.arrays import Bools, Doubles, Ints
from detector.core.ingest.rows import Record
from schemas.config import Feed, TimestampForm
from schemas.feed import Reason

FROM_KEY = "@key"
LATEST_S = 7_258_118_400.0  # 2200-01-01: later is a unit mistaken for another
FLOAT32_MAX = float(np.finfo(np.float32).max)
_PER_SECOND = {
    TimestampForm.SECONDS: 1.0,
    TimestampForm.MILLISECONDS: 1e3,
    TimestampForm.MICROSECONDS: 1e6,
    TimestampForm.NANOSECONDS: 1e9,
}
_DECODE_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be read, and why; `detail` holds nothing of the payload."""

    record: Record
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The readable records of a poll, in order of arrival."""

    topic: str
    partitions: Ints  # (record,)
    offsets: Ints  # (record,)
    assets: list[str]  # (record,)
    times: Doubles  # (record,) seconds since 1970
    cells: Doubles  # (record, sensor) NaN = missing; long: (record, 1)
    names: list[str]  # long: the sensor of each record; wide: empty


class Decoder:
    """Decodes records of one feed. sensors: the columns to take, in order (wide); ignored for long records.

    Raises KeyError for a sensor that a configured map leaves out, ValueError where paths collide.
    """

    def __init__(self, feed: Feed, sensors: tuple[str, ...]) -> None:
        self._feed = feed
        self._sensors = sensors
        self._per_second = _PER_SECOND.get(feed.timestamp_form)
        asset_path = () if feed.asset == FROM_KEY else tuple(feed.asset.split("."))
        head: list[tuple[tuple[str, ...], Any, Any]] = []
        if asset_path:
            head.append((asset_path, str | int | msgspec.UnsetType, UNSET))
        moment = datetime if feed.timestamp_form is TimestampForm.ISO8601 else float
        head.append((tuple(feed.timestamp.split(".")), moment | msgspec.UnsetType, UNSET))
        if feed.form == "long":
            head.append((tuple(feed.sensor.split(".")), str | msgspec.UnsetType, UNSET))
            cells = [(tuple(feed.value.split(".")), float | None, math.nan)]
        else:
            cells = [(path, float | None, math.nan) for path in value_paths(feed, sensors)]
        kind, getters = _record_type((*head, *cells))
        self._parse: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode
        self._head = [operator.attrgetter(name) for name in getters[: len(head)]]
        self._cells = _tuple_getter(getters[len(head) :])
        self._width = len(cells)
        self._keyed = not asset_path

    def decode(self, records: Sequence[Record]) -> tuple[Decoded, list[Rejected]]:
        """All records of a poll, of one topic. Raises nothing for a bad record."""
        rejected: list[Rejected] = []
        kept, parsed = self._parse_all(records, rejected)
        kept, parsed, assets, names = self._take_names(kept, parsed, rejected)
        times = self._times(parsed)
        flat = itertools.chain.from_iterable(map(self._cells, parsed))  # half the cost of an array of tuples
        cells = np.fromiter(flat, np.float64, len(parsed) * self._width).reshape(len(parsed), self._width)
        fine = self._judge(kept, times, cells, rejected)
        if not fine.all():
            chosen = np.flatnonzero(fine)
            kept, assets = [kept[i] for i in chosen], [assets[i] for i in chosen]
            names = [names[i] for i in chosen] if names else names
            times, cells = times[fine], cells[fine]
        count = len(kept)
        return Decoded(
            topic=records[0].topic if records else "",
            partitions=np.fromiter((r.partition for r in kept), np.int64, count),
            offsets=np.fromiter((r.offset for r in kept), np.int64, count),
            assets=assets,
            times=times,
            cells=cells,
            names=names,
        ), rejected

    def _parse_all(self, records: Sequence[Record], rejected: list[Rejected]) -> tuple[list[Record], list[Any]]:
        parse, limit = self._parse, self._feed.max_record_bytes
        kept, parsed = [], []
        for record in records:
            value = record.value
            if value is None:
                rejected.append(Rejected(record, Reason.TOMBSTONE, "the record has no value"))
                continue
            if len(value) > limit:
                detail = f"{len(value)} bytes are more than feed.max_record_bytes ({limit})"
                rejected.append(Rejected(record, Reason.TOO_LARGE, detail))
                continue
            try:
                parsed.append(parse(value))
            except _DECODE_FAULTS as error:
                rejected.append(Rejected(record, *_fault(error)))
                continue
            kept.append(record)
        return kept, parsed

    def _take_names(
        self, kept: list[Record], parsed: list[Any], rejected: list[Rejected]
    ) -> tuple[list[Record], list[Any], list[str], list[str]]:
        """Assets (and, for long records, sensors); records without a needed field are rejected."""
        heads = [[get(row) for row in parsed] for get in self._head]
        assets: list[Any] = [_text(r.key) for r in kept] if self._keyed else heads.pop(0)
        times, sensors = heads[0], heads[1] if self._feed.form == "long" else []
        simple = all(type(asset) is str and asset for asset in assets)
        if simple and UNSET not in times and UNSET not in sensors:
            return kept, parsed, assets, sensors
        good = []
        for index, record in enumerate(kept):
            if assets[index] in (UNSET, "", None):
                rejected.append(Rejected(record, Reason.NO_ASSET, f"no asset at {self._feed.asset}"))
            elif times[index] is UNSET:
                rejected.append(Rejected(record, Reason.NO_TIMESTAMP, f"no timestamp at {self._feed.timestamp}"))
            elif sensors and sensors[index] is UNSET:
                rejected.append(Rejected(record, Reason.NO_VALUES, f"no sensor at {self._feed.sensor}"))
            else:
                good.append(index)
        return (
            [kept[i] for i in good],
            [parsed[i] for i in good],
            [str(assets[i]) for i in good],
            [sensors[i] for i in good] if sensors else [],
        )

    def _times(self, parsed: list[Any]) -> Doubles:
        get = self._head[0 if self._keyed else 1]
        if self._per_second is None:
            return np.fromiter((_epoch(get(row)) for row in parsed), np.float64, len(parsed))
        return np.fromiter((get(row) for row in parsed), np.float64, len(parsed)) / self._per_second

    def _judge(self, kept: list[Record], times: Doubles, cells: Doubles, rejected: list[Rejected]) -> Bools:
        """False for rows with an implausible time, a value no float32 holds, or no value at all."""
        own = np.fromiter((r.timestamp or -1 for r in kept), np.float64, len(kept)) / 1e3
        wild = ~((times >= 0) & (times < LATEST_S))
        future = (own > 0) & (times > own + self._feed.max_future_s) & ~wild
        huge = (np.abs(cells) > FLOAT32_MAX).sum(axis=1) > 0
        empty = np.isnan(cells).all(axis=1) if self._feed.form == "wide" else np.zeros(len(kept), bool)
        fine: Bools = np.logical_not(wild | future | huge | empty)
        for index in np.flatnonzero(~fine):
            if wild[index]:
                reason, detail = Reason.BAD_TIMESTAMP, "outside 1970 to 2200: check feed.timestamp_form"
            elif future[index]:
                ahead = times[index] - own[index]
                reason, detail = Reason.FUTURE_TIMESTAMP, f"{ahead:.0f} s after the transport's own time"
            elif huge[index]:
                reason, detail = Reason.NOT_FINITE, "a value that no 32-bit float holds"
            else:
                reason, detail = Reason.NO_VALUES, "none of the configured sensors is present"
            rejected.append(Rejected(kept[index], reason, detail))
        return fine


def value_paths(feed: Feed, sensors: Sequence[str]) -> list[tuple[str, ...]]:
    """Where each sensor of a wide record is. Raises KeyError for a sensor the configured map leaves out."""
    if isinstance(feed.values, dict):
        return [tuple(feed.values[sensor].split(".")) for sensor in sensors]
    prefix = tuple(feed.values.split(".")) if feed.values else ()
    return [(*prefix, sensor) for sensor in sensors]


@functools.lru_cache(maxsize=16)  # a swap to the same sensors makes no new type
def _record_type(fields: tuple[tuple[tuple[str, ...], Any, Any], ...]) -> tuple[type, list[str]]:
    """A msgspec type for fields at nested paths, and the attribute path of each field."""
    counter = itertools.count()
    getters: dict[tuple[str, ...], str] = {}

    def build(level: list[tuple[tuple[str, ...], tuple[str, ...], Any, Any]], attribute: str) -> type:
        members: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        groups: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], Any, Any]]] = {}
        for full, path, kind, default in level:
            if len(path) > 1:
                groups.setdefault(path[0], []).append((full, path[1:], kind, default))
                continue
            name = f"f{next(counter)}"
            rename[name] = path[0]
            members.append((name, kind, default))
            getters[full] = attribute + name
        if len({*rename.values(), *groups}) < len(rename) + len(groups):
            raise ValueError("two fields are read from one place of a record, or one from inside the other")
        for key, inner in groups.items():
            name = f"f{next(counter)}"
            rename[name] = key
            nested = build(inner, f"{attribute}{name}.")
            members.append((name, nested, msgspec.field(default_factory=nested)))
        return msgspec.defstruct("Record", members, rename=rename, gc=False)

    kind = build([(path, path, kind, default) for path, kind, default in dict.fromkeys(fields)], "")
    return kind, [getters[path] for path, _, _ in fields]


def _tuple_getter(names: list[str]) -> Callable[[Any], Any]:
    if len(names) == 1:
        single = operator.attrgetter(names[0])
        return lambda row: (single(row),)
    return operator.attrgetter(*names)


def _fault(error: Exception) -> tuple[Reason, str]:
    """Msgspec's messages name a type and a path, never a value."""
    if isinstance(error, RecursionError):
        return Reason.NOT_JSON, "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return Reason.NOT_JSON, "not UTF-8"
    text = str(error)[:200]
    if "out of range" in text:
        return Reason.NOT_FINITE, text
    return (Reason.WRONG_TYPE if isinstance(error, msgspec.ValidationError) else Reason.NOT_JSON), text


def _epoch(moment: datetime) -> float:
    """Seconds since 1970; a time without a zone is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(key: bytes | None) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None
