"""What a pipeline remembers of assets, as the columns of a checkpoint, and back: each component speaks for itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import structs

from detector.core.arrays import Bools, Ints
from detector.core.component import Columns
from detector.core.pipeline import ModelPipeline
from detector.core.state.codec import AssetState


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
    waiting: Columns = {"waiting": [state.waiting for state in states], "sensors": [state.sensors for state in states]}
    states = [_in_order(state, pipeline.sensor_names) for state in states]
    slots = np.array([pipeline.slot(partition, state.asset) for state in states], np.int64)
    if len(np.unique(slots)) < len(slots):
        raise ValueError("the checkpoint has an asset twice")
    columns = {field: [getattr(state, field) for state in states] for field in AssetState.__struct_fields__}
    pipeline.forget(slots)
    for component in (pipeline.arrivals, pipeline.process_alarms, pipeline.quality_alarms):
        component.load(slots, columns)
    pipeline.arrivals.expect(slots, clock)
    if pipeline.assembler:
        pipeline.assembler.load(slots, waiting)  # by the order in which they were written
    same_sensors = _equal(columns, "sensors", list(pipeline.sensor_names))
    pipeline.quality.load(*_at(same_sensors, slots, columns))
    same_windows = same_sensors & _equal(columns, "window", pipeline.manifest.window)
    pipeline.windows.load(*_at(same_windows, slots, columns))
    same_version = same_sensors & _equal(columns, "model_version", pipeline.manifest.model_version)
    pipeline.smoother.load(*_at(same_version, slots, columns))
    if pipeline.drift:
        pipeline.drift.load(*_at(same_version, slots, columns))


def _in_order(state: AssetState, names: tuple[str, ...]) -> AssetState:
    """The same memory with its sensors in the pipeline's order, where they are the same; else as it is."""
    if tuple(state.sensors) == names or sorted(state.sensors) != sorted(names):
        return state
    columns = [state.sensors.index(name) for name in names]

    def reordered(data: bytes) -> bytes:
        cells = np.frombuffer(data, np.dtype("V4"))  # an array of a wrong length is refused where it is loaded
        return cells.reshape(-1, len(names))[:, columns].tobytes() if len(cells) % len(names) == 0 else data

    return structs.replace(
        state,
        sensors=list(names),
        history=reordered(state.history),
        last=reordered(state.last),
        runs=reordered(state.runs),
    )


def _equal(columns: Columns, field: str, value: object) -> Bools:
    return np.array([found == value for found in columns[field]], bool)


def _at(chosen: Bools, slots: Ints, columns: Columns) -> tuple[Ints, Columns]:
    """Slots and columns of the chosen states."""
    if chosen.all():
        return slots, columns
    places = np.flatnonzero(chosen).tolist()
    return slots[places], {field: [values[place] for place in places] for field, values in columns.items()}
