"""Raw records as history: lines of a file or records of a topic, read by the detector's own decoder."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from detector.core.ingest.decode import Decoder
from detector.core.ingest.fields import FROM_KEY, key_text, usable_name
from detector.core.ingest.json import read_object, value_at
from detector.core.ingest.rows import CellFaults, Decoded, Record, Rejected
from detector.errors import DataError
from detector.transports.reader import LineRecord, read_records
from schemas.config import Feed
from trainer.data.history import History, from_owners
from trainer.data.long_rows import LongCells, long_history
from trainer.data.tables import NOT_SENSORS
from trainer.data.thinning import Bound, KeptRecords

CHUNK = 20_000  # records decoded together
LOOK_AHEAD = 2_000  # records looked at to find out which sensors there are
MAX_BAD_SHARE = 0.5  # with more unreadable records it is the wrong source, or the feed section is wrong


def file_records(path: Path, topic: str, chunk: int = CHUNK) -> Iterator[list[LineRecord]]:
    """The lines of a file as records, in chunks; blank lines are none. Raises DataError where it cannot be read."""
    try:
        yield from read_records(path, topic, 0, chunk)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", "check --data") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__})", "check its rights") from None


class Gatherer:
    """Collects decoded records into a history. sensors: None finds them in the first records (wide).

    bound: beyond it blocks of time are left out; None keeps everything.
    watched: says which assets the history is of; other assets' records are passed over, be they readable or not.
    """

    def __init__(
        self,
        source: str,
        feed: Feed,
        sensors: Sequence[str] | None,
        period_s: float | None,
        bound: Bound | None = None,
        watched: Callable[[str], bool] | None = None,
    ) -> None:
        self._source = source
        self._feed = feed
        self._sensors = None if sensors is None else tuple(sensors)
        self._period = period_s
        self._decoder: Decoder | None = None
        self._kept = KeptRecords(bound)
        self._watched = watched
        self._seen, self._passed_over = 0, 0
        self._cell_faults: CellFaults = Counter()
        self._bad: list[Rejected] = []

    def add(self, records: Sequence[Record]) -> None:
        """Takes the next records in order."""
        if not records:
            return
        self._seen += len(records)
        if self._decoder is None:
            own = list(islice(filter(self._concerns, records), LOOK_AHEAD))
            if not own:
                self._passed_over += len(records)
                return
            self._decoder = Decoder(self._feed, self._find_sensors(own), self._watched)
        decoded, rejected = self._decoder.decode(records)
        self._passed_over += decoded.unwatched.total() + decoded.unknown
        self._cell_faults += decoded.cell_faults
        self._bad += rejected
        self._kept.add(self._own(decoded))

    def history(self) -> History:
        """Everything taken so far. Raises DataError where nothing, or too little of it, could be read."""
        if not self._seen:
            raise DataError(f"{self._source} is empty", "give a file or span with records")
        concerned = self._seen - self._passed_over
        if not concerned:
            raise DataError(f"{self._source} has no record of an asset that a rule gives to the model", "check 'watch'")
        if len(self._bad) > MAX_BAD_SHARE * concerned:
            first = self._bad[0]
            raise DataError(
                f"{len(self._bad)} of {concerned} records of {self._source} cannot be read, the first at offset "
                f"{first.record.offset} ({first.reason}: {first.detail})",
                "check the feed section of the configuration",
            )
        history = self._long() if self._feed.form == "long" else self._wide()
        notes = [f"{len(self._bad)} of {concerned} records could not be read and were left out"] if self._bad else []
        notes += [
            f"{count} cells of {sensor} were no plain numbers ({fault.value})"
            for (sensor, fault), count in self._cell_faults.most_common()
        ]
        notes += [self._kept.note] if self._kept.note else []
        return History(history.sensors, history.assets, history.source, (*history.notes, *notes))

    def _concerns(self, record: Record) -> bool:
        """Whether the record is of an asset that the history is of, as far as can be seen."""
        if self._watched is None:
            return True
        if self._feed.asset == FROM_KEY:
            asset: Any = key_text(record.key)
        else:
            asset = value_at(read_object(record.value or b"") or {}, tuple(self._feed.asset.split(".")))
        return isinstance(asset, str | int) and self._watched(str(asset))

    def _own(self, decoded: Decoded) -> Decoded:
        """Without the rows of other assets."""
        if self._watched is None:
            return decoded
        watched = {asset for asset in set(decoded.assets) if self._watched(asset)}
        kept = [row for row, asset in enumerate(decoded.assets) if asset in watched]
        self._passed_over += len(decoded.assets) - len(kept)
        return replace(
            decoded,
            partitions=decoded.partitions[kept],
            offsets=decoded.offsets[kept],
            assets=[decoded.assets[row] for row in kept],
            times=decoded.times[kept],
            cells=decoded.cells[kept],
            names=[decoded.names[row] for row in kept] if decoded.names else [],
        )

    def _wide(self) -> History:
        assert self._sensors is not None
        names, owners = self._kept.owners()
        cells = self._kept.cells().astype(np.float32, copy=False)
        return from_owners(self._source, self._sensors, names, owners, self._kept.times(), cells)

    def _long(self) -> History:
        kept = self._kept
        cells = LongCells(assets=kept.assets(), sensors=kept.names(), times=kept.times(), values=kept.cells()[:, 0])
        return long_history(self._source, cells, self._sensors, self._period)

    def _find_sensors(self, records: Sequence[Record]) -> tuple[str, ...]:
        if self._feed.form == "long":
            return self._sensors or ()
        if self._sensors is None and isinstance(self._feed.values, dict):
            self._sensors = tuple(self._feed.values)
        if self._sensors is None:
            self._sensors = _numeric_fields(self._source, self._feed, records)
        return self._sensors


def _numeric_fields(source: str, feed: Feed, records: Sequence[Record]) -> tuple[str, ...]:
    """The fields of the values object that hold numbers, in order of first appearance."""
    heads = {feed.asset, feed.timestamp} if not feed.values else set()
    found: dict[str, None] = {}
    for record in records:
        inner = _object_at(record.value, str(feed.values))
        for name, value in inner.items():
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            if plain and name not in heads and name not in NOT_SENSORS and name != FROM_KEY and usable_name(name):
                found[name] = None
    if not found:
        raise DataError(f"{source} has no numeric field", "set feed.values, or name training.<model>.sensors")
    return tuple(found)


def _object_at(value: bytes | None, path: str) -> dict[str, Any]:
    inner: Any = read_object(value or b"")
    for key in path.split(".") if path else []:
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else {}
