"""Where simulated records go: JSON lines (file or standard output), Parquet, or a Kafka topic."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kafka.errors import KafkaError

from detector.errors import BrokerError, DataError
from detector.transports.kafka.clients import Clients, explained
from detector.transports.kafka.connection import PATIENCE_S
from schemas.config import Settings
from trainer.simulate.plant import Block
from trainer.simulate.sensors import NAMES

BATCH = 500  # records between two looks at the clock and the progress
PACED_BATCH = 25
RATE_READ_S = 0.2
SENDS_IN_FLIGHT = 5000  # the producer's own accumulator has no bound

OnRecords = Callable[[int], None]  # gets the number of records that have gone out since the last call


class Pace:
    """Holds a stream to a rate in records a second; 0 lets it run. The rate may change while it flows."""

    def __init__(self, rate: Callable[[], float]) -> None:
        self._rate = rate
        self._held_to = rate()
        self._begun = time.monotonic()
        self._sent = 0

    @property
    def batch(self) -> int:
        """How many records leave together: few where they are paced, so that a slow pace stays even."""
        return PACED_BATCH if self._held_to > 0 else BATCH

    def wait(self, records: int) -> None:
        """Counts records that left, and sleeps until the next may."""
        rate = self._rate()
        if rate != self._held_to:
            self._held_to, self._begun, self._sent = rate, time.monotonic(), 0
        self._sent += records
        if rate > 0:
            time.sleep(max(self._begun + self._sent / rate - time.monotonic(), 0.0))


def fixed_rate(rate: float) -> Callable[[], float]:
    """One rate for the whole stream."""
    return lambda: rate


def rate_from(path: Path) -> Callable[[], float]:
    """The number in a file, read again a few times a second. Raises DataError where it holds none at the start."""
    known = _read_rate(path)
    if known is None:
        raise DataError(f"{path} holds no rate", "write a number of records a second into it")
    state = [known, time.monotonic()]

    def rate() -> float:
        if time.monotonic() - state[1] >= RATE_READ_S:
            # Half a number, while it is being written, is not a reason to stop.
            state[:] = [_read_rate(path) or state[0], time.monotonic()]
        return state[0]

    return rate


def _read_rate(path: Path) -> float | None:
    try:
        rate = float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return rate if rate > 0 else None


def write_lines(
    blocks: Iterator[Block], names: tuple[str, ...], file: BinaryIO, pace: Pace, on_records: OnRecords
) -> None:
    """Flat wide JSON, one record a line; readers that follow the file never see half a line for long."""
    for batch in _batches(blocks, names, pace.batch):
        file.write(b"".join(line + b"\n" for _, line in batch))
        file.flush()
        pace.wait(len(batch))
        on_records(len(batch))


def write_parquet(blocks: Iterator[Block], names: tuple[str, ...], path: Path, on_records: OnRecords) -> None:
    """Columns asset, timestamp (seconds) and one per sensor; a row group a day."""
    fields = {"asset": pa.string(), "timestamp": pa.float64()} | dict.fromkeys(NAMES, pa.float32())
    schema = pa.schema([pa.field(name, kind) for name, kind in fields.items()])
    with pq.ParquetWriter(path, schema) as writer:
        for block in blocks:
            rows, assets = np.nonzero(block.sent)
            values = block.values[rows, assets].astype(np.float32)
            columns = [pa.array([names[a] for a in assets]), pa.array(block.times[rows]), *map(pa.array, values.T)]
            writer.write_table(pa.table(columns, schema=schema))
            on_records(len(rows))


def produce(
    blocks: Iterator[Block], names: tuple[str, ...], settings: Settings, pace: Pace, on_records: OnRecords
) -> None:
    """Sends to the input topic, keyed by asset. Blocks until all is delivered; raises BrokerError."""
    topic, servers = settings.topics.input, settings.kafka.bootstrap_servers
    with explained(settings.kafka, PATIENCE_S):
        producer = Clients(settings, "simulate").producer(patience_s=PATIENCE_S, create_topics=True)
    try:
        waiting = []
        for batch in _batches(blocks, names, pace.batch):
            waiting += [producer.send(topic, key=asset, value=line) for asset, line in batch]
            if len(waiting) >= SENDS_IN_FLIGHT:
                waiting[0].get(timeout=60)
                waiting = [send for send in waiting if not send.is_done]
            pace.wait(len(batch))
            on_records(len(batch))
        for send in waiting:
            send.get(timeout=60)
    except KafkaError as error:
        raise BrokerError(
            f"records were not delivered to {topic} at {servers} ({type(error).__name__})",
            "run 'watchkeeper topics --create', and check the broker",
        ) from None
    finally:
        producer.close(timeout=10)


def open_lines(path: Path, append: bool) -> AbstractContextManager[BinaryIO]:
    """The file to write lines to; `-` is standard output, which is left open. Raises DataError."""
    if str(path) == "-":
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("ab" if append else "wb")
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({type(error).__name__})", "create its folder, or choose another"
        ) from None


def _batches(blocks: Iterator[Block], names: tuple[str, ...], size: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """(key, JSON) of the records, in order of time and, within a time, of asset."""
    encode = msgspec.json.Encoder().encode
    keys = [name.encode() for name in names]
    for block in blocks:
        rows, assets = np.nonzero(block.sent)
        for begin in range(0, len(rows), size):
            r, a = rows[begin : begin + size], assets[begin : begin + size]
            columns = zip(a.tolist(), block.times[r].tolist(), block.values[r, a].tolist(), strict=True)
            yield [
                (keys[asset], encode({"asset": names[asset], "timestamp": at, **dict(zip(NAMES, values, strict=True))}))
                for asset, at, values in columns
            ]
