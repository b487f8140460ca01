"""What a poll's records give: alerts, scores packed by asset, dead letters, requests and offsets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from detector.core.arrays import Doubles, Ints, first_of_runs, last_of_runs
from detector.core.ingest.rows import CellFaults, Rejected, Rows
from detector.core.pipeline import ModelPipeline, Scored
from schemas.alert import Alert
from schemas.config import ScoresOut
from schemas.control import RetrainRequest
from schemas.feed import RowFlag

LONG_VALUE_OUTCOMES = ("unknown_sensor", "overwritten", "released_early")


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """The rows of one asset in one poll, in order; scores are NaN where flags say so."""

    asset: str
    model: str | None
    model_version: str | None
    topic: str
    partition: int
    threshold: float | None
    offsets: Ints  # (row,)
    times: Doubles  # (row,) event time, seconds
    scores: Doubles  # (row,)
    flags: Ints  # (row,) bits of RowFlag


@dataclass(slots=True)
class Outcome:
    """What a poll's records gave. The shell delivers it; `offsets` may be committed after that."""

    alerts: list[Alert] = field(default_factory=list)
    scores: list[ScoreBlock] = field(default_factory=list)
    dead_letters: list[Rejected] = field(default_factory=list)
    requests: list[RetrainRequest] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)  # partition -> next offset
    records: int = 0
    scored: int = 0
    flags: Counter[RowFlag] = field(default_factory=Counter)
    cell_faults: CellFaults = field(default_factory=Counter)  # cells of watched assets that were no plain number
    assembly: Counter[str] = field(default_factory=Counter)  # values of long records by one of LONG_VALUE_OUTCOMES
    newest_s: float = -np.inf  # newest event time seen

    def add(self, last: "Outcome") -> None:
        """Adds what the rows gave that `Watch.finish` let go: their records were counted when they came."""
        self.alerts += last.alerts
        self.scores += last.scores
        self.dead_letters += last.dead_letters
        self.requests += last.requests
        self.offsets |= last.offsets
        self.scored += last.scored
        self.flags += last.flags
        self.cell_faults += last.cell_faults
        self.assembly += last.assembly
        self.newest_s = max(self.newest_s, last.newest_s)


def count_flags(flags: Ints) -> Counter[RowFlag]:
    """How many rows have each flag. flags: (row,) bits.

    >>> count_flags(np.array([1, 3]))[RowFlag(1)]
    2
    """
    if not flags.any():
        return Counter()
    return Counter({flag: int(np.count_nonzero(flags & flag)) for flag in RowFlag})


def pack_scores(pipeline: ModelPipeline, topic: str, scored: Scored, emit: ScoresOut) -> list[ScoreBlock]:
    """The rows of a pipeline that go out, one block an asset."""
    rows = scored.rows
    keep = np.arange(len(rows))
    if emit.emit == "every_nth":
        keep = np.flatnonzero(rows.offsets % emit.nth == 0)
    elif emit.emit == "above":
        keep = np.flatnonzero(scored.scores > emit.fraction * pipeline.threshold)
    rows, scores, flags = rows.at(keep), scored.scores[keep], scored.flags[keep]
    first = first_of_runs(rows.slots)
    manifest, assets = pipeline.manifest, pipeline.assets
    return [
        ScoreBlock(
            assets.names[rows.slots[b]], manifest.model, manifest.model_version, topic,
            assets.partitions[rows.slots[b]], pipeline.threshold, rows.offsets[b:e], rows.times[b:e],
            scores[b:e], flags[b:e],
        )
        for b, e in zip(np.flatnonzero(first).tolist(), (last_of_runs(first) + 1).tolist(), strict=True)
    ]  # fmt: skip


def unscored_block(topic: str, asset: str, partition: int, offset: int, time_s: float, flag: RowFlag) -> ScoreBlock:
    """A row that no model saw, and why.

    >>> unscored_block("sensors", "pump-9", 0, 7, 1.7e9, RowFlag.UNWATCHED).scores.tolist()
    [nan]
    """
    return ScoreBlock(
        asset, None, None, topic, partition, None, np.array([offset]), np.array([time_s]), np.array([np.nan]),
        np.array([int(flag)]),
    )  # fmt: skip


def unscored_rows(rows: Rows, chosen: Sequence[int], flag: RowFlag) -> list[ScoreBlock]:
    """A block for each chosen row."""
    partitions, offsets, times = rows.partitions.tolist(), rows.offsets.tolist(), rows.times.tolist()
    return [
        unscored_block(rows.topic, rows.assets[row], partitions[row], offsets[row], times[row], flag) for row in chosen
    ]
