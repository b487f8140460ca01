"""Checkpoints: the state of a partition as bytes, and back. Versioned; no pickle; validated before it is used.

A partition's assets fall into BUCKETS buckets by name. A checkpoint writes the buckets that changed and then a marker
with the source offset it stands for; each is one message of a compacted topic (or one entry of a file). A crash in
between leaves buckets newer than the marker: each carries the offset it stands for, and on a replay records below it
are passed over, since their outputs were delivered before the bucket was written. A member that was taken for dead may
write after its successor: the marker says what each bucket stands for, and an older one takes the start back to it.
"""

import math
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ValidationError

from detector.core.alarms.incidents import Incident, Phase
from detector.core.arrays import Ints
from detector.core.drift import DriftWatch
from detector.core.ingest.fields import FLOAT32_MAX, LATEST_S
from detector.core.pipeline import ModelPipeline
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


def export_asset(pipeline: ModelPipeline, slot: int) -> AssetState:
    """The memory of one slot."""
    incidents = [pipeline.incidents[slot]] if slot in pipeline.incidents else []
    incidents += [incident for key, incident in pipeline.quality_incidents.items() if key[0] == slot]
    level = float(pipeline.smoother.ewma[slot])
    state = AssetState(
        asset=pipeline.assets.names[slot],
        model=pipeline.manifest.model,
        model_version=pipeline.manifest.model_version,
        sensors=list(pipeline.sensor_names),
        window=pipeline.manifest.window,
        next_offset=int(pipeline.next_offset[slot]),
        newest=float(pipeline.windows.newest[slot]),
        run=int(pipeline.windows.run[slot]),
        late=int(pipeline.windows.late[slot]),
        history=pipeline.windows.history[slot].tobytes(),
        vector=pipeline.smoother.vector[slot].tobytes(),
        level=None if np.isnan(level) else level,
        last=pipeline.quality.last[slot].tobytes(),
        runs=np.ascontiguousarray(pipeline.quality.runs[:, slot]).tobytes(),
        incidents=incidents,
    )
    if pipeline.drift is not None:
        drift = pipeline.drift
        state.drift_count = int(drift.count[slot])
        state.drift = np.stack([drift.total[slot], drift.streak[slot].astype(float), drift.z[slot]]).tobytes()
    return state


def import_assets(pipeline: ModelPipeline, partition: int, states: Sequence[AssetState], clock: float) -> None:
    """Puts memories back. What another model version cannot use begins anew; incidents always stay.

    All at once: a start waits for it, and numpy takes as long for one small array as for a thousand. Raises ValueError
    for a memory that no feed can have left: it would make the asset deaf, or stop the daemon later.
    """
    slots = np.array([pipeline.slot(partition, state.asset) for state in states], np.int64)
    if len(np.unique(slots)) < len(slots):
        raise ValueError("the checkpoint has an asset twice")
    for slot, state in zip(slots.tolist(), states, strict=True):
        _import_life(pipeline, slot, state, clock)
    sensors = list(pipeline.sensor_names)
    _import_rows(pipeline, *_those(slots, states, lambda state: state.sensors == sensors))


def _those(
    slots: Ints, states: Sequence[AssetState], fits: Callable[[AssetState], bool]
) -> tuple[Ints, Sequence[AssetState]]:
    places = [place for place, state in enumerate(states) if fits(state)]
    return slots[places], [states[place] for place in places]


def _import_life(pipeline: ModelPipeline, slot: int, state: AssetState, clock: float) -> None:
    """What holds for an asset whatever its sensors are."""
    pipeline.forget(slot)
    pipeline.next_offset[slot] = state.next_offset
    pipeline.seen[slot] = clock
    if state.newest != -np.inf and not 0 <= state.newest < LATEST_S:
        raise ValueError("the checkpoint has an asset whose newest row is at no moment")
    pipeline.windows.newest[slot] = state.newest
    pipeline.windows.late[slot] = state.late
    for incident in state.incidents:
        _check(incident)
        if incident.kind is AlertKind.PROCESS:
            pipeline.incidents[slot] = incident
        else:
            pipeline.quality_incidents[slot, incident.condition.value, incident.sensor] = incident


def _import_rows(pipeline: ModelPipeline, slots: Ints, states: Sequence[AssetState]) -> None:
    """The arrays of assets with the model's sensors."""
    sensors = len(pipeline.sensor_names)
    pipeline.quality.last[slots] = _arrays([state.last for state in states], np.float32, (sensors,))
    runs = _arrays([state.runs for state in states], np.int32, (len(pipeline.quality.runs), sensors))
    if runs.min(initial=0) < 0:
        raise ValueError("the checkpoint has a run of fewer rows than none")
    pipeline.quality.runs[:, slots] = runs.swapaxes(0, 1)
    _import_windows(pipeline, *_those(slots, states, lambda state: state.window == pipeline.manifest.window))
    _import_scores(
        pipeline, *_those(slots, states, lambda state: state.model_version == pipeline.manifest.model_version)
    )


def _import_windows(pipeline: ModelPipeline, slots: Ints, states: Sequence[AssetState]) -> None:
    pipeline.windows.run[slots] = [state.run for state in states]
    shape = pipeline.windows.history.shape[1:]
    pipeline.windows.history[slots] = _arrays([state.history for state in states], np.float32, shape)


def _import_scores(pipeline: ModelPipeline, slots: Ints, states: Sequence[AssetState]) -> None:
    shape = pipeline.smoother.vector.shape[1:]
    pipeline.smoother.vector[slots] = _arrays([state.vector for state in states], np.float64, shape, missing=False)
    pipeline.smoother.ewma[slots] = [np.nan if state.level is None else state.level for state in states]
    if pipeline.drift is not None:
        _import_drift(pipeline.drift, *_those(slots, states, lambda state: bool(state.drift)))


def _import_drift(drift: DriftWatch, slots: Ints, states: Sequence[AssetState]) -> None:
    found = _arrays([state.drift for state in states], np.float64, (3, drift.total.shape[1]), most=np.inf)
    total, streak, z = found.swapaxes(0, 1)
    if not np.isfinite([total, streak]).all() or np.abs(streak).max(initial=0) > 2**40:
        raise ValueError("the checkpoint has a drift that is no number")
    drift.count[slots] = [state.drift_count % drift.block_rows for state in states]
    drift.total[slots], drift.streak[slots], drift.z[slots] = total, streak.astype(np.int64), z


def _arrays(
    data: Sequence[bytes], kind: DTypeLike, shape: tuple[int, ...], *, missing: bool = True, most: float = FLOAT32_MAX
) -> NDArray[Any]:
    """Arrays of exactly this shape, (state, *shape): numpy would spread a shorter one. missing: a cell may be NaN."""
    size = np.dtype(kind).itemsize * math.prod(shape)
    if any(len(each) != size for each in data):
        raise ValueError("the checkpoint has an array of another length")
    arrays = np.frombuffer(b"".join(data), kind).reshape(len(data), *shape)
    if (arrays > most).any() or (arrays < -most).any() or not (missing or np.isfinite(arrays).all()):
        raise ValueError("the checkpoint has a value that no feed can have given")
    return arrays


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
