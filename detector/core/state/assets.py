"""What a pipeline remembers of assets, as the columns of a checkpoint, and back: each component speaks for itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import structs

from detector.core.arrays import Bools, Ints
from detector.core.component import Columns
from detector.core.pipeline import ModelPipeline
from detector.core.state.codec import AssetState

_NO_VALUE, _NO_RUN = np.float32(np.nan).tobytes(), np.int32(0).tobytes()


def dump_assets(pipeline: ModelPipeline, slots: Sequence[int]) -> list[AssetState]:
    """The memory of slots."""
    count, manifest = len(slots), pipeline.manifest
    columns: dict[str, Sequence[Any]] = {
        "asset": [pipeline.assets.names[slot] for slot in slots],
        "model": [manifest.model] * count,
        "model_version": [manifest.model_version] * count,
        "sensors": [list(pipeline.sensor_names)] * count,
        "window": [manifest.window] * count,
        "incidents": [[] for _ in slots],
    }
    for component in pipeline.components():
        for field, values in component.dump(np.array(slots, np.int64)).items():
            # Two components have incidents: a checkpoint has one list of them.
            joined = [[*a, *b] for a, b in zip(columns[field], values, strict=True)] if field in columns else values
            columns[field] = joined
    return [AssetState(**{field: values[place] for field, values in columns.items()}) for place in range(count)]


def load_assets(pipeline: ModelPipeline, partition: int, states: Sequence[AssetState], clock: float) -> None:
    """Takes memories up. What another version cannot use begins anew; incidents and clocks always stay.

    All at once: a start waits for it, and numpy takes as long for one small array as for a thousand. clock: what
    silence is measured against. Raises ValueError for a memory that no feed can have left: it would keep the asset
    from ever being scored, or stop the daemon later.
    """
    written_sensors = [state.sensors for state in states]
    states = [_in_order(state, pipeline.sensor_names) for state in states]
    slots = np.array([pipeline.slot(partition, state.asset) for state in states], np.int64)
    if len(np.unique(slots)) < len(slots):
        raise ValueError("the checkpoint has an asset twice")
    columns: dict[str, Sequence[Any]] = {
        field: [getattr(state, field) for state in states] for field in AssetState.__struct_fields__
    }
    columns["written_sensors"] = written_sensors  # what waits has its cells in this order
    pipeline.forget(slots)
    manifest = pipeline.manifest
    ours = {
        "sensors": list(pipeline.sensor_names), "window": manifest.window, "model_version": manifest.model_version,
    }  # fmt: skip
    same = {field: np.array([found == value for found in columns[field]], bool) for field, value in ours.items()}
    for component in pipeline.components():
        usable = np.logical_and.reduce([np.ones(len(slots), bool), *(same[field] for field in component.depends_on)])
        component.load(*_at(usable, slots, columns))
    pipeline.arrivals.expect(slots, clock)


def _in_order(state: AssetState, names: tuple[str, ...]) -> AssetState:
    """The same memory by the pipeline's sensors: runs of bad rows always, windows where the sensors are the same."""
    if tuple(state.sensors) == names:
        return state
    columns = [state.sensors.index(name) if name in state.sensors else -1 for name in names]

    def reordered(data: bytes, none: bytes) -> bytes:
        count = len(state.sensors) * 4
        if not count or len(data) % count:
            return data  # refused where it is loaded
        rows = (data[begin : begin + count] for begin in range(0, len(data), count))
        return b"".join(b"".join(row[4 * c : 4 * c + 4] if c >= 0 else none for c in columns) for row in rows)

    last, runs = reordered(state.last, _NO_VALUE), reordered(state.runs, _NO_RUN)
    if sorted(state.sensors) != sorted(names):
        return structs.replace(state, last=last, runs=runs)
    return structs.replace(
        state, sensors=list(names), last=last, runs=runs, history=reordered(state.history, _NO_VALUE)
    )


def _at(chosen: Bools, slots: Ints, columns: Columns) -> tuple[Ints, Columns]:
    """Slots and columns of the chosen states."""
    if chosen.all():
        return slots, columns
    places = np.flatnonzero(chosen).tolist()
    return slots[places], {field: [values[place] for place in places] for field, values in columns.items()}
