"""Snapshots of a partition, and their restoring: see detector.core.state.codec for their form and their promise."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from detector.core.alarms.closing import close_restored
from detector.core.arrivals import check_newest
from detector.core.ingest.fields import LATEST_S
from detector.core.placement import match
from detector.core.state.assets import dump_assets, load_assets
from detector.core.state.codec import (
    MARKER,
    STATE_VERSION,
    AssetState,
    Bucket,
    Marker,
    Owner,
    bucket_key,
    bucket_number,
    bucket_of,
    decode_bucket,
    decode_marker,
    encode,
)
from detector.core.watch import Watch

AT_ONCE = 256  # assets restored together: all of a partition would take its state's memory twice


def snapshot(watch: Watch, partition: int, next_offset: int, owner: Owner = Owner()) -> list[tuple[bytes, bytes]]:
    """The buckets that changed since the last checkpoint and, last, the marker.

    next_offset: what it stands for. owner: whose it is, for `owner_of`.
    """
    changed: dict[int, list[AssetState]] = defaultdict(list)
    buckets = _dirty_buckets(watch, partition)
    for pipeline in watch.pipelines.values():
        names = pipeline.assets.names
        slots = [slot for slot in pipeline.assets.of_partition(partition) if bucket_of(names[slot]) in buckets]
        for state in dump_assets(pipeline, slots):
            changed[bucket_of(state.asset)].append(state)
        pipeline.clean(slots)
    offsets = watch.placements.bucket_offsets.setdefault(partition, {})
    entries: list[tuple[bytes, bytes]] = []
    for number in sorted(buckets):  # an empty one as well: the records below it stay passed over
        offsets[number] = max(next_offset, offsets.get(number, 0))
        entries.append((bucket_key(number), encode(Bucket(STATE_VERSION, partition, changed[number], offsets[number]))))
    watch.placements.saved(partition)
    return [*entries, (MARKER, encode(_marker(watch, partition, next_offset, owner)))]


def owner_of(entries: Mapping[bytes, bytes]) -> Owner | None:
    """Who wrote a checkpoint; None where there is none. Raises ValueError for a marker that cannot be read."""
    return decode_marker(entries[MARKER]).owner if MARKER in entries else None


def restore(watch: Watch, partition: int, entries: Mapping[bytes, bytes], clock: float) -> int | None:
    """Restores a partition and gives the offset to go on from; None where there is no checkpoint.

    clock: what silence is measured against from now on. Raises ValueError for an entry that cannot be read.
    """
    if MARKER not in entries:
        return None
    marker = decode_marker(entries[MARKER])
    _check_partition(marker, partition)
    offsets = watch.placements.bucket_offsets[partition] = {}
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
    _take_up_waiting(watch, partition, marker)
    # A bucket that is older than the marker says was written by a member that had lost the partition.
    behind = [offsets.get(number, 0) for number, as_of in marker.buckets.items() if offsets.get(number, 0) < as_of]
    return min([marker.next_offset, *behind])


def _check_partition(found: Bucket | Marker, partition: int) -> None:
    if found.partition != partition:
        raise ValueError(f"the checkpoint is that of partition {found.partition}")


def _restore_assets(watch: Watch, partition: int, assets: Iterable[AssetState], clock: float) -> None:
    by_model: dict[str, list[AssetState]] = defaultdict(list)
    for state in assets:
        pipeline = watch.placements.enter(partition, state.asset)
        if pipeline is not None and pipeline is watch.pipelines.get(state.model):
            by_model[state.model].append(state)
        else:
            _let_go(watch, partition, state)
    for model, states in by_model.items():
        load_assets(watch.pipelines[model], partition, states, clock)


def _take_up_waiting(watch: Watch, partition: int, marker: Marker) -> None:
    """Long records of a checkpoint by a program that kept all that waited in the marker, under one watermark."""
    if marker.watermark is None or marker.watermark == np.inf:
        return
    if not 0 <= marker.watermark < LATEST_S:
        raise ValueError("the checkpoint has a watermark at no moment")
    waiting: dict[str, list[tuple[int, int, dict[int, float]]]] = defaultdict(list)
    for asset, number, offset, cells in marker.waiting:
        watch.placements.enter(partition, asset)
        waiting[asset].append((number, offset, cells))
    cut = marker.waiting_sensors, marker.waiting_period_s
    for pipeline in watch.pipelines.values():
        arrivals = pipeline.arrivals
        if pipeline.assembler is None:
            continue
        for slot in pipeline.assets.of_partition(partition):
            pipeline.assembler.take_up(slot, float(arrivals.newest[slot]), waiting[pipeline.assets.names[slot]], cut)
            # It counted rows, whose values lie apart: all that came after the marker is to be read again.
            arrivals.next_offset[slot] = min(arrivals.next_offset[slot], marker.next_offset)


def _let_go(watch: Watch, partition: int, state: AssetState) -> None:
    """An asset that the rules of today give to another model, or to none: what is open is closed, and it is gone."""
    if match(watch.settings.watch, state.asset) == state.model:
        return  # its model is named, but not loaded
    check_newest(np.array([state.newest]))
    reason, model = watch.placements.reason_gone(state.asset), (state.model, state.model_version)
    closings = [
        alert
        for incident in state.incidents
        for alert in close_restored(incident, reason, state.newest, state.asset, watch.topic, partition, model)
    ]
    watch.closings.setdefault(partition, []).extend(closings)
    watch.placements.evicted_buckets.add((partition, bucket_of(state.asset)))


def _dirty_buckets(watch: Watch, partition: int) -> set[int]:
    """A bucket is written whole: one changed asset takes its neighbours along."""
    return watch.placements.evicted(partition) | {
        bucket_of(pipeline.assets.names[slot])
        for pipeline in watch.pipelines.values()
        for slot in pipeline.dirty(partition)
    }


def _marker(watch: Watch, partition: int, next_offset: int, owner: Owner) -> Marker:
    buckets = dict(watch.placements.bucket_offsets[partition])
    marker = Marker(STATE_VERSION, partition, next_offset, buckets=buckets, owner=owner)
    marker.drift_asked = {
        name: pipeline.drift.asked_s
        for name, pipeline in watch.pipelines.items()
        if pipeline.drift is not None and np.isfinite(pipeline.drift.asked_s)
    }
    return marker
