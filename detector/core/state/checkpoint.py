"""Snapshots of a partition, and their restoring: see detector.core.state.codec for its form and its promise."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from detector.core.ingest.assemble import Assembler, Pending
from detector.core.ingest.fields import FLOAT32_MAX, LATEST_S
from detector.core.state.codec import (
    MARKER,
    STATE_VERSION,
    AssetState,
    Bucket,
    Marker,
    bucket_key,
    bucket_number,
    bucket_of,
    decode_bucket,
    decode_marker,
    encode,
    export_asset,
    import_assets,
)
from detector.core.watch import Watch

AT_ONCE = 256  # assets restored together: all of a partition would take its state's memory twice


def snapshot(watch: Watch, partition: int, next_offset: int) -> list[tuple[bytes, bytes]]:
    """The buckets that changed since the last checkpoint and, last, the marker. next_offset: what it stands for."""
    changed: dict[int, list[AssetState]] = defaultdict(list)
    buckets = _dirty_buckets(watch, partition)
    for pipeline in watch.pipelines.values():
        for slot in pipeline.assets.of_partition(partition):
            bucket = bucket_of(pipeline.assets.names[slot])
            if bucket in buckets:
                changed[bucket].append(export_asset(pipeline, slot))
                pipeline.dirty[slot] = False
    offsets = watch.bucket_offsets.setdefault(partition, {})
    entries: list[tuple[bytes, bytes]] = []
    for number in sorted(buckets):  # an empty one as well: the records below it stay passed over
        offsets[number] = max(next_offset, offsets.get(number, 0))
        entries.append((bucket_key(number), encode(Bucket(STATE_VERSION, partition, changed[number], offsets[number]))))
    watch.evicted_buckets = {pair for pair in watch.evicted_buckets if pair[0] != partition}
    return [*entries, (MARKER, encode(_marker(watch, partition, next_offset)))]


def restore(watch: Watch, partition: int, entries: Mapping[bytes, bytes], clock: float) -> int | None:
    """Restores a partition and gives the offset to go on from; None where there is no checkpoint.

    clock: what silence is measured against from now on. Raises ValueError for an entry that cannot be read.
    """
    if MARKER not in entries:
        return None
    marker = decode_marker(entries[MARKER])
    _check_partition(marker, partition)
    offsets = watch.bucket_offsets[partition] = {}
    states: list[AssetState] = []
    for key, data in entries.items():
        if key != MARKER:
            number, bucket = bucket_number(key), decode_bucket(data)
            _check_partition(bucket, partition)
            if any(bucket_of(state.asset) != number for state in bucket.assets):
                raise ValueError("the checkpoint has an asset in a bucket that is not its own")
            offsets[number] = bucket.as_of
            states += bucket.assets
            if len(states) >= AT_ONCE:
                _restore_assets(watch, partition, states, clock)
                states = []
    _restore_assets(watch, partition, states, clock)
    for name, asked_s in marker.drift_asked.items():
        drift = watch.pipelines[name].drift if name in watch.pipelines else None
        if drift is not None:
            drift.asked_s = max(drift.asked_s, asked_s)
    if watch.assembler is not None and marker.watermark is not None and marker.watermark != np.inf:
        watch.assembler.pending[partition] = _pending(watch.assembler, marker, marker.watermark)
    # A bucket that is older than the marker says was written by a member that had lost the partition.
    behind = [offsets.get(number, 0) for number, as_of in marker.buckets.items() if offsets.get(number, 0) < as_of]
    return min([marker.next_offset, *behind])


def _check_partition(found: Bucket | Marker, partition: int) -> None:
    if found.partition != partition:
        raise ValueError(f"the checkpoint is that of partition {found.partition}")


def _pending(assembler: Assembler, marker: Marker, watermark: float) -> Pending:
    """Rows that wait; where rows are cut otherwise by now, their cells would stand for other sensors or times."""
    if not 0 <= watermark < LATEST_S:
        raise ValueError("the checkpoint has a watermark at no moment")
    pending = Pending(watermark)
    cut = marker.waiting_sensors, marker.waiting_period_s
    if marker.waiting_sensors and cut != (list(assembler.sensors), assembler.period_s):
        return pending
    for asset, period, offset, cells in marker.waiting:
        _check_waiting(assembler, period, cells)
        pending.rows[asset, period], pending.last_offset[asset, period] = cells, offset
    return pending


def _check_waiting(assembler: Assembler, period: int, cells: Mapping[int, float]) -> None:
    fine = all(0 <= column < len(assembler.sensors) for column in cells)
    if not fine or any(abs(value) > FLOAT32_MAX for value in cells.values()) or period * assembler.period_s >= LATEST_S:
        raise ValueError("the checkpoint has a waiting row that no feed can have given")


def _restore_assets(watch: Watch, partition: int, assets: Iterable[AssetState], clock: float) -> None:
    by_pipeline: dict[str, list[AssetState]] = defaultdict(list)
    for state in assets:
        if watch.adopt(partition, state.asset, state.model) is not None:
            by_pipeline[state.model].append(state)
    for name, states in by_pipeline.items():
        import_assets(watch.pipelines[name], partition, states, clock)


def _dirty_buckets(watch: Watch, partition: int) -> set[int]:
    """A bucket is written whole: one changed asset takes its neighbours along."""
    return {bucket for owner, bucket in watch.evicted_buckets if owner == partition} | {
        bucket_of(pipeline.assets.names[slot])
        for pipeline in watch.pipelines.values()
        for slot in np.flatnonzero(pipeline.dirty).tolist()
        if pipeline.assets.partitions[slot] == partition
    }


def _marker(watch: Watch, partition: int, next_offset: int) -> Marker:
    marker = Marker(STATE_VERSION, partition, next_offset, buckets=dict(watch.bucket_offsets[partition]))
    marker.drift_asked = {
        name: pipeline.drift.asked_s
        for name, pipeline in watch.pipelines.items()
        if pipeline.drift is not None and np.isfinite(pipeline.drift.asked_s)
    }
    if watch.assembler is not None and partition in watch.assembler.pending:
        pending = watch.assembler.pending[partition]
        marker.watermark = float(pending.watermark)
        marker.waiting_sensors, marker.waiting_period_s = list(watch.assembler.sensors), watch.assembler.period_s
        marker.waiting = [
            (asset, period, pending.last_offset[asset, period], cells)
            for (asset, period), cells in pending.rows.items()
        ]
    return marker
