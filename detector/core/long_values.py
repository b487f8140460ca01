"""Values of long records on their way into a pipeline: which are new, what becomes a row, and what waits no longer."""

from dataclasses import replace

import numpy as np

from detector.core.arrays import Ints
from detector.core.ingest.assemble import Assembled, Assembler
from detector.core.ingest.rows import Rows
from detector.core.pipeline import ModelPipeline, PipelineOutcome
from detector.core.settings import WatchSettings
from detector.core.slots import SlotRows


def assemble(
    pipeline: ModelPipeline, values: Rows, names: list[str], chosen: Ints, slots: Ints, clock: float
) -> Assembled:
    """The values of a poll that are a pipeline's, one a row, become rows. names: (value,) their sensors.

    A replay's values up to the checkpoint are passed over: they are in the state, be it in a row that waits. The
    positions in what it gives are those in the poll.
    """
    new = np.flatnonzero(values.offsets[chosen] >= pipeline.arrivals.next_offset[slots])
    chosen, slots = chosen[new], slots[new]
    offsets, positions = values.offsets[chosen], chosen.tolist()
    sensors = names if len(positions) == len(names) else [names[position] for position in positions]
    found = _assembler(pipeline).add(slots, offsets, values.times[chosen], values.values[chosen, 0], sensors)
    known = np.ones(len(slots), bool)
    known[found.unknown] = False
    pipeline.arrivals.note_values(slots[known], offsets[known], clock)
    return replace(found, late=[positions[i] for i in found.late], unknown=[positions[i] for i in found.unknown])


def release(pipeline: ModelPipeline, settings: WatchSettings, clock: float, *, by_feed: bool) -> SlotRows:
    """Rows that wait for values which no longer come: those of assets that are about to count as silent.

    clock: what silence is measured against; infinite at the end of a file: all of them.
    """
    assembler = _assembler(pipeline)
    waiting = assembler.waiting()
    since = assembler.newest(waiting) if by_feed else pipeline.arrivals.seen[waiting]
    complete_s = pipeline.manifest.period_s + settings.feed.lateness_s
    after_s = longest_wait_s(pipeline.quality_alarms.silent_after_s, settings.limits.idle_s, complete_s)
    return assembler.release(waiting[(clock - since > after_s) | (clock == np.inf)])


def longest_wait_s(silent_after_s: float, idle_s: float, complete_s: float) -> float:
    """How long a row waits while nothing comes: until its asset counts as silent, but as long as any row waits.

    complete_s: from a row's first value to the moment that it is complete.

    >>> longest_wait_s(60.0, 604_800.0, 6.0), longest_wait_s(2.0, 604_800.0, 6.0)
    (60.0, 6.0)
    """
    return max(min(silent_after_s, idle_s), complete_s)


def advance_released(pipeline: ModelPipeline, rows: SlotRows, clock: float) -> PipelineOutcome:
    """The way of released rows. Nothing came from their assets, so silence goes on counting."""
    seen = pipeline.arrivals.seen[rows.slots]
    result = pipeline.advance_rows(rows, clock)
    pipeline.arrivals.expect(rows.slots, seen)
    return result


def _assembler(pipeline: ModelPipeline) -> Assembler:
    if pipeline.assembler is None:
        raise ValueError("a wide feed has no values to assemble")
    return pipeline.assembler
