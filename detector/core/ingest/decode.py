"""Bytes to arrays: decodes a poll's records together, and says of each bad one why it cannot be read.

The accepted records become arrays in one step. A record's fault is a dead letter, never an exception; a cell's fault
costs the cell; and a record that cannot be read is no fault where nobody watches its asset or its sensor.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from detector.core.arrays import Bools, Doubles
from detector.core.ingest.fields import (
    ABSENT,
    FLOAT32_MAX,
    NAME_BYTES,
    Parser,
    Rescued,
    fields_of,
    key_text,
    missing_field,
    plausible,
    seconds,
    usable_name,
)
from detector.core.ingest.json import JsonParser
from detector.core.ingest.rows import CellFaults, Decoded, Record, Rejected
from schemas.config import Feed
from schemas.feed import CellFault, Reason

_Faults = dict[tuple[int, int], tuple[tuple[int, CellFault], ...]]  # partition, offset -> number of the cell, fault
_SHOWN = NAME_BYTES // 4  # signs that are kept of a name that is not usable


class Decoder:
    """Decodes records of one feed. sensors: the columns to take, in order (wide), or those that are named (long).

    watched: says whether anybody watches an asset; where given, other assets' records, and long records of sensors
    that are not among `sensors`, are passed over instead of rejected. None: everything is watched.
    Raises KeyError for a sensor that a configured map leaves out, ValueError where paths collide.
    """

    def __init__(self, feed: Feed, sensors: tuple[str, ...], watched: Callable[[str], bool] | None = None) -> None:
        fields = fields_of(feed, sensors)
        self._feed = feed
        self._parser: Parser = JsonParser(fields, feed.timestamp_form)
        self._width = len(fields.cells)
        self._sensors, self._watched = sensors, watched

    def decode(self, records: Sequence[Record]) -> tuple[Decoded, list[Rejected]]:
        """All records of a poll, of one topic. Raises nothing for a bad record."""
        rejected: list[Rejected] = []
        kept, parsed, faults = self._parse_all(records, rejected)
        kept, parsed, assets, names, moments = self._take_heads(kept, parsed, rejected)
        times = seconds(moments, self._feed.timestamp_form)
        flat = itertools.chain.from_iterable(map(self._parser.cells, parsed))  # half the cost of an array of tuples
        cells = np.fromiter(flat, np.float64, len(parsed) * self._width).reshape(len(parsed), self._width)
        fine = plausible(self._feed, kept, times, self._absent(parsed, cells), rejected)
        if not fine.all():
            chosen = np.flatnonzero(fine)
            kept, assets = [kept[i] for i in chosen], [assets[i] for i in chosen]
            names = [names[i] for i in chosen] if names else names
            times, cells = times[fine], cells[fine]
        count = len(kept)
        cell_faults = self._take_cells(kept, assets, names, cells, faults)
        rejected, unwatched, unknown = self._pass_over(rejected)
        return Decoded(
            topic=records[0].topic if records else "",
            partitions=np.fromiter((r.partition for r in kept), np.int64, count),
            offsets=np.fromiter((r.offset for r in kept), np.int64, count),
            assets=assets,
            times=times,
            cells=cells,
            names=names,
            cell_faults=cell_faults,
            unwatched=unwatched,
            unknown=unknown,
        ), rejected

    def _parse_all(
        self, records: Sequence[Record], rejected: list[Rejected]
    ) -> tuple[list[Record], list[Any], _Faults]:
        parse, refusals, limit = self._parser.parse, self._parser.faults, self._feed.max_record_bytes
        kept, parsed = [], []
        faults: _Faults = {}
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
            except refusals as error:
                again = self._rescue(record, value, error)
                if isinstance(again, Rejected):
                    rejected.append(again)
                    continue
                parsed.append(again.parsed)
                faults[record.partition, record.offset] = again.faults
            kept.append(record)
        return kept, parsed, faults

    def _take_heads(
        self, kept: list[Record], parsed: list[Any], rejected: list[Rejected]
    ) -> tuple[list[Record], list[Any], list[str], list[str], list[Any]]:
        """Assets, sensors of long records, and event times; records without a needed field are rejected."""
        asset_of, sensor_of = self._parser.asset, self._parser.sensor
        assets: list[Any] = [key_text(r.key) for r in kept] if asset_of is None else list(map(asset_of, parsed))
        moments = list(map(self._parser.timestamp, parsed))
        sensors = [] if sensor_of is None else list(map(sensor_of, parsed))
        # Of each name once: a poll has many records and few names.
        simple = all(type(name) is str and usable_name(name) for name in {*assets, *sensors})
        if simple and ABSENT not in moments:
            return kept, parsed, assets, sensors, moments
        good = []
        for index, record in enumerate(kept):
            fault = missing_field(self._feed, assets[index], moments[index], sensors[index] if sensors else None)
            if fault is None:
                good.append(index)
            else:
                rejected.append(Rejected(record, *fault))
        return (
            [kept[i] for i in good],
            [parsed[i] for i in good],
            [str(assets[i]) for i in good],
            [sensors[i] for i in good] if sensors else [],
            [moments[i] for i in good],
        )

    def _rescue(self, record: Record, value: bytes, error: Exception) -> Rescued | Rejected:
        """A second look at a record that the fast parser refused."""
        try:
            rescued = self._parser.rescue(value)
        except self._parser.faults as other:
            rescued, error = None, other
        return rescued or Rejected(record, *self._parser.reason(error))

    def _absent(self, parsed: Sequence[Any], cells: Doubles) -> Bools:
        """Records without the field of any sensor, (record,): a null, or a bad cell, is a field."""
        absent: Bools = np.asarray(np.isnan(cells).all(axis=1))
        for index in np.flatnonzero(absent).tolist():
            absent[index] = None not in self._parser.cells(parsed[index])
        return absent

    def _take_cells(
        self, kept: Sequence[Record], assets: Sequence[str], names: Sequence[str], cells: Doubles, faults: _Faults
    ) -> CellFaults:
        """Counts the bad cells of what is watched, and takes out those that no 32-bit float holds."""
        found: CellFaults = Counter()
        huge = np.abs(cells) > FLOAT32_MAX
        if not faults and not huge.any():
            return found
        bad = [(int(row), int(column), CellFault.NOT_FINITE) for row, column in zip(*np.nonzero(huge), strict=True)]
        cells[huge] = np.nan
        if faults:
            for row, record in enumerate(kept):
                bad += [(row, *fault) for fault in faults.get((record.partition, record.offset), ())]
        watched = {asset: self._watches(asset) for asset in {assets[row] for row, _, _ in bad}}
        for row, column, fault in bad:
            sensor = names[row] if names else self._sensors[column]
            if watched[assets[row]] and (not names or self._names(sensor)):
                found[sensor, fault] += 1
        return found

    def _pass_over(self, rejected: list[Rejected]) -> tuple[list[Rejected], Counter[str], int]:
        """What stays rejected; records of unwatched assets, by name; and how many are of sensors that nobody names."""
        unwatched: Counter[str] = Counter()
        if self._watched is None:
            return rejected, unwatched, 0
        kept, unknown = [], 0
        for letter in rejected:
            asset, sensor = self._peek(letter.record)
            if asset and not self._watches(asset):
                unwatched[asset if usable_name(asset) else ascii(asset[:_SHOWN])] += 1
            elif sensor and not self._names(sensor):
                unknown += 1
            else:
                kept.append(letter)
        return kept, unwatched, unknown

    def _peek(self, record: Record) -> tuple[str | None, str | None]:
        """Asset and sensor of a record that cannot be read, as far as they can be seen."""
        value = record.value or b""
        asset, sensor = self._parser.peek(value) if len(value) <= self._feed.max_record_bytes else (ABSENT, ABSENT)
        if self._parser.asset is None:
            asset = key_text(record.key)
        text = isinstance(asset, str | int) and not isinstance(asset, bool)
        return str(asset) if text else None, sensor if isinstance(sensor, str) else None

    def _watches(self, asset: str) -> bool:
        return self._watched is None or self._watched(asset)

    def _names(self, sensor: str) -> bool:
        """Whether a model names the sensor of a long record; without knowing of any, all count."""
        return self._watched is None or not self._sensors or sensor in self._sensors
