"""Bytes to arrays: decodes a poll's records together, and says of each bad one why it cannot be read.

The accepted records become arrays in one step. A record's fault is a dead letter, never an exception.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.core.ingest.fields import ABSENT, Parser, fields_of, key_text, lacking, plausible, seconds, usable_name
from detector.core.ingest.json import JsonParser
from detector.core.ingest.rows import Decoded, Record, Rejected
from schemas.config import Feed
from schemas.feed import Reason


class Decoder:
    """Decodes records of one feed. sensors: the columns to take, in order (wide); ignored for long records.

    Raises KeyError for a sensor that a configured map leaves out, ValueError where paths collide.
    """

    def __init__(self, feed: Feed, sensors: tuple[str, ...]) -> None:
        fields = fields_of(feed, sensors)
        self._feed = feed
        self._parser: Parser = JsonParser(fields, feed.timestamp_form)
        self._width = len(fields.cells)

    def decode(self, records: Sequence[Record]) -> tuple[Decoded, list[Rejected]]:
        """All records of a poll, of one topic. Raises nothing for a bad record."""
        rejected: list[Rejected] = []
        kept, parsed = self._parse_all(records, rejected)
        kept, parsed, assets, names, moments = self._take_heads(kept, parsed, rejected)
        times = seconds(moments, self._feed.timestamp_form)
        flat = itertools.chain.from_iterable(map(self._parser.cells, parsed))  # half the cost of an array of tuples
        cells = np.fromiter(flat, np.float64, len(parsed) * self._width).reshape(len(parsed), self._width)
        fine = plausible(self._feed, kept, times, cells, rejected)
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
        parse, faults, limit = self._parser.parse, self._parser.faults, self._feed.max_record_bytes
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
            except faults as error:
                rejected.append(Rejected(record, *self._parser.reason(error)))
                continue
            kept.append(record)
        return kept, parsed

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
            fault = lacking(self._feed, assets[index], moments[index], sensors[index] if sensors else None)
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
