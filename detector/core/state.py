"""Checkpoints: the state of a partition as bytes, and back. Versioned; no pickle.

A partition's assets fall into BUCKETS buckets by name. A checkpoint writes the buckets that changed and then a marker
with the source offset it stands for; each is one message of a compacted topic (or one entry of a file). A crash in
between leaves buckets newer than the marker: each carries the offset it stands for, and on a replay records below it
are passed over, since their outputs were delivered before the bucket was written. A member that was taken for dead may
write after its successor: the marker says what each bucket stands for, and an older one takes the start back to it.
"""

import zlib
from typing import Any, TypeVar

import msgspec
import numpy as np

from detector.core.incidents import Incident, Phase
from detector.core.lane import Lane
from schemas.alert import AlertKind, Condition, Evidence, Severity

STATE_VERSION = 2
READABLE = (1, 2)  # 1 had no offsets of buckets
BUCKETS = 1024
MARKER = b"marker"


class AssetState(msgspec.Struct):
    """One asset's memory; arrays are little-endian bytes."""

    asset: str
    model: str
    model_version: str
    sensors: list[str]
    window: int
    next_offset: int
    newest: float
    run: int
    late: int
    history: bytes  # float32 (window - 1, sensor)
    vector: bytes  # float64 (sensor,)
    level: float | None
    last: bytes  # float32 (sensor,)
    runs: bytes  # int32 (condition, sensor)
    incidents: list[dict[str, Any]]
    drift_count: int = 0
    drift: bytes = b""  # float64 (3, signal): total, streak, z


class Bucket(msgspec.Struct):
    """The assets of one bucket."""

    version: int
    partition: int
    assets: list[AssetState]
    as_of: int = 0  # the source offset that it stands for


class Marker(msgspec.Struct):
    """What a partition's checkpoint stands for."""

    version: int
    partition: int
    next_offset: int
    drift_asked: dict[str, float] = {}
    waiting: list[tuple[str, int, int, dict[int, float]]] = []  # long records: asset, period, offset, cells
    watermark: float | None = None
    buckets: dict[int, int] = {}  # what each bucket stood for when this was written


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
    return msgspec.msgpack.encode(value)


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
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the checkpoint cannot be read ({str(error)[:120]})") from None


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
        incidents=[_incident_out(incident) for incident in incidents],
    )
    if lane.drift is not None:
        drift = lane.drift
        state.drift_count = int(drift.count[slot])
        state.drift = np.stack([drift.total[slot], drift.streak[slot].astype(float), drift.z[slot]]).tobytes()
    return state


def import_asset(lane: Lane, partition: int, state: AssetState, clock: float) -> None:
    """Puts a memory back. What another model version cannot use begins anew; incidents always stay."""
    slot = lane.slot(partition, state.asset)
    lane.forget(slot)
    lane.next_offset[slot] = state.next_offset
    lane.seen[slot] = clock
    lane.windows.newest[slot] = state.newest
    lane.windows.late[slot] = state.late
    for fields in state.incidents:
        incident = _incident_in(fields)
        if incident.kind is AlertKind.PROCESS:
            lane.incidents[slot] = incident
        else:
            lane.quality_incidents[slot, incident.condition.value, incident.sensor] = incident
    if state.sensors != list(lane.sensor_names):
        return
    sensors = len(state.sensors)
    lane.quality.last[slot] = np.frombuffer(state.last, np.float32)
    lane.quality.runs[:, slot] = np.frombuffer(state.runs, np.int32).reshape(-1, sensors)
    if state.window == lane.manifest.window:
        lane.windows.run[slot] = state.run
        lane.windows.history[slot] = np.frombuffer(state.history, np.float32).reshape(-1, sensors)
    if state.model_version == lane.manifest.model_version:
        lane.chain.vector[slot] = np.frombuffer(state.vector, np.float64)
        lane.chain.level[slot] = np.nan if state.level is None else state.level
        _import_drift(lane, slot, state)


def _import_drift(lane: Lane, slot: int, state: AssetState) -> None:
    drift = lane.drift
    if drift is None or len(state.drift) != 24 * drift.total.shape[1]:
        return
    total, streak, z = np.frombuffer(state.drift, np.float64).reshape(3, -1)
    drift.count[slot] = state.drift_count
    drift.total[slot], drift.streak[slot], drift.z[slot] = total, streak.astype(np.int64), z


_PLAIN = ("id", "sensor", "start_s", "first_offset", "last_s", "last_offset", "score", "peak", "ratio", "sequence",
          "told_s", "below_since_s")  # fmt: skip


def _incident_out(incident: Incident) -> dict[str, Any]:
    fields = {name: getattr(incident, name) for name in _PLAIN}
    fields |= {
        "kind": incident.kind.value,
        "condition": incident.condition.value,
        "phase": int(incident.phase),
        "severity": incident.severity.value,
        "evidence": [item.model_dump() for item in incident.evidence],
    }
    return fields


def _incident_in(fields: dict[str, Any]) -> Incident:
    try:
        return Incident(
            **{name: fields[name] for name in _PLAIN},
            kind=AlertKind(fields["kind"]),
            condition=Condition(fields["condition"]),
            phase=Phase(fields["phase"]),
            severity=Severity(fields["severity"]),
            evidence=[Evidence.model_validate(item) for item in fields["evidence"]],
        )
    except KeyError as error:
        raise ValueError(f"an incident of the checkpoint lacks {error}") from None
