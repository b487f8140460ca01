"""Checkpoints: the state of a partition as bytes, and back. Versioned; no pickle; judged before it is believed.

A partition's assets fall into BUCKETS buckets by name. A checkpoint writes the buckets that changed and then a marker
with the source offset it stands for; each is one message of a compacted topic (or one entry of a file). A crash in
between leaves buckets newer than the marker: each carries the offset it stands for, and on a replay records below it
are passed over, since their outputs were delivered before the bucket was written. A member that was taken for dead may
write after its successor: the marker says what each bucket stands for, and an older one takes the start back to it.
"""

import math
import sys
import zlib
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ValidationError

from detector.core.decode import FLOAT32_MAX, LATEST_S
from detector.core.incidents import Incident, Phase
from detector.core.lane import Lane
from schemas.alert import AlertKind, Condition

STATE_VERSION = 2
READABLE = (1, 2)  # 1 had no offsets of buckets
BUCKETS = 1024
MARKER = b"marker"

# What a feed can have put into a memory. NaN lies outside every span.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Moment = Annotated[float, msgspec.Meta(ge=0, lt=LATEST_S)]  # event time, seconds
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_LIVING = (Phase.PENDING, Phase.OPEN, Phase.CLOSING)
_WITHOUT_SENSOR = (Condition.ANOMALY, Condition.SILENT)


class AssetState(msgspec.Struct):
    """One asset's memory; arrays are little-endian bytes."""

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
    drift_count: Offset = 0
    drift: bytes = b""  # float64 (3, signal): total, streak, z


class Bucket(msgspec.Struct):
    """The assets of one bucket."""

    version: int
    partition: int
    assets: list[AssetState]
    as_of: Offset = 0  # the source offset that it stands for


class Marker(msgspec.Struct):
    """What a partition's checkpoint stands for."""

    version: int
    partition: int
    next_offset: Offset
    drift_asked: dict[str, Moment] = {}
    waiting: list[tuple[str, Offset, Offset, dict[int, float]]] = []  # long records: asset, period, offset, cells
    watermark: float | None = None  # inf: was written at a file's end once
    buckets: dict[int, Offset] = {}  # what each bucket stood for when this was written
    waiting_sensors: list[str] = []  # what the cells of `waiting` count; none: as they are in use now
    waiting_period_s: float = 0.0  # and how long its periods are


def bucket_of(asset: str) -> int:
    """The bucket of an asset; stable over processes."""
    return zlib.crc32(asset.encode()) % BUCKETS


def bucket_number(key: bytes) -> int:
    """The bucket that a message key names. Raises ValueError for any other key."""
    word, _, number = key.partition(b"-")
    if word != b"bucket" or not number.isdigit() or int(number) >= BUCKETS:
        raise ValueError(f"the state has the unknown key {key[:40]!r}")
    return int(number)


def bucket_key(bucket: int) -> bytes:
    """The message key of a bucket."""
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


def export_asset(lane: Lane, slot: int) -> AssetState:
    """The memory of one slot."""
    incidents = [lane.incidents[slot]] if slot in lane.incidents else []
    incidents += [incident for key, incident in lane.quality_incidents.items() if key[0] == slot]
    level = float(lane.chain.level[slot])
    state = AssetState(
        asset=lane.assets.names[slot],
        model=lane.manifest.model,
        model_version=lane.manifest.model_version,
        sensors=list(lane.sensor_names),
        window=lane.manifest.window,
        next_offset=int(lane.next_offset[slot]),
        newest=float(lane.windows.newest[slot]),
        run=int(lane.windows.run[slot]),
        late=int(lane.windows.late[slot]),
        history=lane.windows.history[slot].tobytes(),
        vector=lane.chain.vector[slot].tobytes(),
        level=None if np.isnan(level) else level,
        last=lane.quality.last[slot].tobytes(),
        runs=np.ascontiguousarray(lane.quality.runs[:, slot]).tobytes(),
        incidents=incidents,
    )
    if lane.drift is not None:
        drift = lane.drift
        state.drift_count = int(drift.count[slot])
        state.drift = np.stack([drift.total[slot], drift.streak[slot].astype(float), drift.z[slot]]).tobytes()
    return state


def import_asset(lane: Lane, partition: int, state: AssetState, clock: float) -> None:
    """Puts a memory back. What another model version cannot use begins anew; incidents always stay.

    Raises ValueError for a memory that no feed can have left: it would make the asset deaf, or stop the daemon later.
    """
    slot = lane.slot(partition, state.asset)
    lane.forget(slot)
    lane.next_offset[slot] = state.next_offset
    lane.seen[slot] = clock
    if state.newest != -np.inf and not 0 <= state.newest < LATEST_S:
        raise ValueError("the checkpoint has an asset whose newest row is at no moment")
    lane.windows.newest[slot] = state.newest
    lane.windows.late[slot] = state.late
    for incident in state.incidents:
        _check(incident)
        if incident.kind is AlertKind.PROCESS:
            lane.incidents[slot] = incident
        else:
            lane.quality_incidents[slot, incident.condition.value, incident.sensor] = incident
    if state.sensors != list(lane.sensor_names):
        return
    sensors = len(state.sensors)
    lane.quality.last[slot] = _array(state.last, np.float32, (sensors,))
    runs = _array(state.runs, np.int32, (len(lane.quality.runs), sensors))
    if runs.min() < 0:
        raise ValueError("the checkpoint has a run of fewer rows than none")
    lane.quality.runs[:, slot] = runs
    if state.window == lane.manifest.window:
        lane.windows.run[slot] = state.run
        lane.windows.history[slot] = _array(state.history, np.float32, (state.window - 1, sensors))
    if state.model_version == lane.manifest.model_version:
        lane.chain.vector[slot] = _array(state.vector, np.float64, lane.chain.vector.shape[1:], missing=False)
        lane.chain.level[slot] = np.nan if state.level is None else state.level
        _import_drift(lane, slot, state)


def _import_drift(lane: Lane, slot: int, state: AssetState) -> None:
    drift = lane.drift
    if drift is None or not state.drift:
        return
    total, streak, z = _array(state.drift, np.float64, (3, drift.total.shape[1]), most=np.inf)
    if not np.isfinite([total, streak]).all() or np.abs(streak).max(initial=0) > 2**40:
        raise ValueError("the checkpoint has a drift that is no number")
    drift.count[slot] = state.drift_count % drift.block_rows
    drift.total[slot], drift.streak[slot], drift.z[slot] = total, streak.astype(np.int64), z


def _array(
    data: bytes, kind: DTypeLike, shape: tuple[int, ...], *, missing: bool = True, most: float = FLOAT32_MAX
) -> NDArray[Any]:
    """An array of exactly this shape: numpy would spread a shorter one. missing: whether a cell may be NaN."""
    if len(data) != np.dtype(kind).itemsize * math.prod(shape):
        raise ValueError("the checkpoint has an array of another length")
    array = np.frombuffer(data, kind).reshape(shape)
    empty = np.isnan(array)
    if (np.abs(array[~empty]) > most).any() or (empty.any() and not missing):
        raise ValueError("the checkpoint has a value that no feed can have given")
    return array


def _check(incident: Incident) -> None:
    """Raises ValueError for what no step of an incident's life leaves behind."""
    times = (incident.start_s, incident.last_s, incident.told_s, incident.below_since_s)
    numbers = (incident.score, incident.peak, incident.ratio)
    counts = (incident.first_offset + 1, incident.last_offset + 1, incident.sequence)
    if not all(0 <= time < LATEST_S for time in times) or not all(map(math.isfinite, numbers)):
        raise ValueError("the checkpoint has an incident at no moment, or with a score that is no number")
    if incident.phase not in _LIVING or not all(0 <= count <= 2**62 for count in counts):
        raise ValueError("the checkpoint has an incident in a state that no incident rests in")
    if incident.phase is Phase.PENDING and incident.kind is AlertKind.QUALITY:
        raise ValueError("the checkpoint has a data-quality incident that waits, which none does")
    process, sensorless = incident.kind is AlertKind.PROCESS, incident.condition in _WITHOUT_SENSOR
    if process != (incident.condition is Condition.ANOMALY) or sensorless != (incident.sensor == ""):
        raise ValueError("the checkpoint has an incident whose kind, condition and sensor disagree")
