"""Checkpoints: the state of a partition as bytes, and back. Versioned; no pickle; validated before it is used.

A partition's assets fall into BUCKETS buckets by name. A checkpoint writes the buckets that changed and then a marker
with the source offset it stands for; each is one message of a compacted topic (or one entry of a file). A crash in
between leaves buckets newer than the marker: each carries the offset it stands for, and on a replay records below it
are passed over, since their outputs were delivered before the bucket was written. A member that was taken for dead may
write after its successor: the marker says what each bucket stands for, and an older one takes the start back to it.
"""

import sys
import zlib
from typing import Annotated, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from detector.core.alarms.incidents import Incident
from detector.core.ingest.assemble import WaitingRows
from detector.core.ingest.fields import LATEST_S

STATE_VERSION = 2
READABLE = (1, 2)  # 1 had no offsets of buckets
BUCKETS = 1024
MARKER = b"marker"

# What a feed can have put into a memory. NaN lies outside every span.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
RowOffset = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]  # -1: there is no row
Moment = Annotated[float, msgspec.Meta(ge=0, lt=LATEST_S)]  # event time, seconds
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


class AssetState(msgspec.Struct):
    """One asset's memory, field by field as the components dump it; arrays are little-endian bytes."""

    asset: str
    model: str
    model_version: str
    sensors: list[str]
    window: int
    next_offset: Offset
    newest: float  # -inf: nothing yet
    run: Offset
    late: Count
    history: bytes  # float32 (window - 1, sensor)
    vector: bytes  # float64 (column,) as the score's memory has them
    level: Finite | None
    last: bytes  # float32 (sensor,)
    runs: bytes  # int32 (condition, sensor)
    incidents: list[Incident]
    newest_offset: RowOffset | None = None  # of its newest row; none: the one before next_offset
    waiting: WaitingRows | None = None  # long records
    drift_count: Offset = 0
    drift: bytes = b""  # float64 (3, signal): total, streak, z


class Bucket(msgspec.Struct):
    """The assets of one bucket."""

    version: int
    partition: int
    assets: list[AssetState]
    as_of: Offset = 0  # the source offset that it stands for


class Owner(msgspec.Struct, frozen=True):
    """Whose state it is; empty: not known, or of no matter."""

    group: str = ""
    topic: str = ""  # the input
    topic_id: str = ""  # another one under the same name: the topic was made anew

    def conflicts_with(self, other: "Owner") -> bool:
        """Whether something that both know differs.

        >>> Owner("plant", "sensors").conflicts_with(Owner("plant", "meters"))
        True
        >>> Owner("plant", "sensors").conflicts_with(Owner())
        False
        """
        both = ((self.group, other.group), (self.topic, other.topic), (self.topic_id, other.topic_id))
        return any(ours and theirs and ours != theirs for ours, theirs in both)


class Marker(msgspec.Struct):
    """What a partition's checkpoint stands for."""

    version: int
    partition: int
    next_offset: Offset
    drift_asked: dict[str, Moment] = {}
    # Long records waited here before each asset had rows of its own: asset, cell, offset, column -> value.
    waiting: list[tuple[str, Offset, Offset, dict[int, float]]] = []
    watermark: float | None = None  # of the partition; inf: was written at a file's end once
    buckets: dict[int, Offset] = {}  # what each bucket stood for when this was written
    waiting_sensors: list[str] = []  # what the cells of `waiting` count; none: as they are in use now
    waiting_period_s: float = 0.0  # and how long its periods are
    owner: Owner = Owner()  # who wrote it; a marker of before does not say


def bucket_of(asset: str) -> int:
    """The bucket of an asset; stable over processes.

    >>> bucket_of("pump-1")
    646
    """
    return zlib.crc32(asset.encode()) % BUCKETS


def bucket_number(key: bytes) -> int:
    """The bucket that a message key names. Raises ValueError for any other key."""
    word, _, number = key.partition(b"-")
    if word != b"bucket" or not number.isdigit() or int(number) >= BUCKETS:
        raise ValueError(f"the state has the unknown key {key[:40]!r}")
    return int(number)


def bucket_key(bucket: int) -> bytes:
    """The message key of a bucket.

    >>> bucket_key(7), bucket_number(bucket_key(7))
    (b'bucket-7', 7)
    """
    return b"bucket-%d" % bucket


def encode(value: Bucket | Marker) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(value, enc_hook=BaseModel.model_dump)


def decode_bucket(data: bytes) -> Bucket:
    """Raises ValueError for anything but a bucket of this version."""
    return _decode(data, Bucket)


def decode_marker(data: bytes) -> Marker:
    """Raises ValueError for anything but a marker of this version."""
    return _decode(data, Marker)


_Kind = TypeVar("_Kind", Bucket, Marker)


def _decode(data: bytes, kind: type[_Kind]) -> _Kind:
    try:
        version = msgspec.msgpack.decode(data, type=_Versioned).version
        if version not in READABLE:
            raise ValueError(f"the checkpoint has version {version}, this program reads up to {STATE_VERSION}")
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_evidence)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the checkpoint cannot be read ({str(error)[:120]})") from None


def _evidence(kind: type[BaseModel], fields: object) -> BaseModel:
    """An alert's evidence is a contract of its own. Raises ValueError in one line: pydantic's has many."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"no {kind.__name__}: {error.errors(include_input=False)[0]['msg'][:60]}") from None


class _Versioned(msgspec.Struct):
    version: int
