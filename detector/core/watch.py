"""The whole way of a record, in one function without I/O: `Watch.process(records, now) -> Outcome`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import repeat

import numpy as np

from detector.core.arrays import Doubles, Ints
from detector.core.drift import DriftFinding, drift_request
from detector.core.ingest.assemble import Assembled, Assembler
from detector.core.ingest.decode import Decoder
from detector.core.ingest.rows import Decoded, Record, Rejected, Rows
from detector.core.pipeline import ModelPipeline, Scored
from detector.core.scoring import Scorer
from detector.core.state.codec import bucket_of
from schemas.alert import Alert
from schemas.config import ScoresOut, Settings, WatchRule
from schemas.control import RetrainRequest
from schemas.feed import Reason, RowFlag

UNWATCHED, OVER_LIMIT, NEW = -1, -2, -3
_PIPELINE_SHIFT = 32  # a placement is pipeline << 32 | slot
_NAMES_KEPT = 1000  # so many unwatched assets are listed by name


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
    newest_s: float = -np.inf  # newest event time seen


class Watch:
    """The state of everything watched. One topic; the assets of its partitions; one pipeline a model.

    by_feed: silence is measured against the feed's newest event time instead of `now`.
    """

    def __init__(self, settings: Settings, scorers: Mapping[str, Scorer], *, by_feed: bool, topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.unwatched: Counter[str] = Counter()
        self._by_feed = by_feed
        self._placements: dict[tuple[int, str], int] = {}
        # partition -> bucket -> offset that its newest checkpoint stands for: what lies below is in it already
        self.bucket_offsets: dict[int, dict[int, int]] = {}
        self.evicted_buckets: set[tuple[int, int]] = (
            set()
        )  # partition and bucket of assets forgotten since the checkpoint
        self._feed_clock = -np.inf
        self._silence_checked = -np.inf
        self.pipelines = {name: ModelPipeline(scorer, settings, topic) for name, scorer in scorers.items()}
        self._order = list(self.pipelines)
        self.assembler: Assembler | None = None
        self._fit_feed()

    def process(self, records: Sequence[Record], now: float) -> Outcome:
        """Decode -> assemble -> window -> score -> verdict -> incident -> drift, for the records of one poll.

        now: the wall clock in seconds; only silence looks at it. Raises nothing for a bad record.
        """
        decoded, rejected = self._decoder.decode(records)  # 1. bytes to arrays; what cannot be read is set aside
        rows, late = self._rows(decoded, records, rejected)  # 2. long records wait until their row is complete
        outcome = self.process_rows(rows, now)  # 3. to 7.
        outcome.dead_letters = rejected
        outcome.scores += late
        outcome.records = len(records)
        for record in records:
            outcome.offsets[record.partition] = record.offset + 1
        return outcome

    def process_rows(self, rows: Rows, now: float) -> Outcome:
        """The same from rows on: what `backtest` and `evaluate` call with the rows of a file."""
        outcome = Outcome(records=len(rows))
        if len(rows):
            self._feed_clock = max(self._feed_clock, float(rows.times.max()))
        outcome.newest_s = self._feed_clock
        clock = self._feed_clock if self._by_feed else now
        placements = self._locate(rows, clock)
        for number, name in enumerate(self._order):
            chosen = np.flatnonzero((placements >= 0) & (placements >> _PIPELINE_SHIFT == number))
            self._advance(self.pipelines[name], rows, chosen, placements[chosen] & 0xFFFFFFFF, clock, outcome)
        self._note_unwatched(rows, placements, outcome)
        outcome.alerts += self._silence(clock)
        outcome.alerts.sort(key=lambda a: (a.time, a.subject, a.id))
        return outcome

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version of a model between polls. Raises KeyError for a model that no rule names."""
        self.pipelines[scorer.manifest.model].swap(scorer)
        self._fit_feed()

    def configure(self, settings: Settings) -> None:
        """Takes up new alarm, drift, scores and watch settings; state stays. Feed and models are as they were."""
        rules_changed = settings.watch != self.settings.watch
        self.settings = settings
        for pipeline in self.pipelines.values():
            pipeline.configure(settings)
        if rules_changed:
            self._placements = {
                key: placement for key, placement in self._placements.items() if self._still(key, placement)
            }

    def release(self, partition: int) -> None:
        """Forgets a partition: another member of the group has it now."""
        for pipeline in self.pipelines.values():
            pipeline.release(partition)
        self._placements = {key: placement for key, placement in self._placements.items() if key[0] != partition}
        self.bucket_offsets.pop(partition, None)
        self.evicted_buckets = {pair for pair in self.evicted_buckets if pair[0] != partition}
        if self.assembler is not None:
            self.assembler.pending.pop(partition, None)

    def changed(self, partition: int) -> bool:
        """Whether a partition's state is newer than its checkpoint, be it without new records: silence."""
        if any(pair[0] == partition for pair in self.evicted_buckets):
            return True
        return any(pipeline.is_dirty(partition) for pipeline in self.pipelines.values())

    def adopt(self, partition: int, asset: str, model: str) -> ModelPipeline | None:
        """The pipeline of an asset that a checkpoint restores; None where no rule gives it to that model any more."""
        placement = self._placement((partition, asset), np.inf)
        if placement < 0 or self._order[placement >> _PIPELINE_SHIFT] != model:
            return None
        return self.pipelines[model]

    def finish(self, now: float) -> Outcome:
        """Rows of long records that still wait at the end of a file."""
        if self.assembler is None:
            return Outcome()
        return self.process_rows(self.assembler.flush(self.topic), now)

    def _advance(
        self,
        pipeline: ModelPipeline,
        rows: Rows,
        chosen: Ints,
        slots: Ints,
        clock: float,
        outcome: Outcome,
    ) -> None:
        offsets = rows.offsets[chosen]
        applied = offsets < pipeline.next_offset[slots]  # a replay up to the checkpoint: in the state already
        if applied.any():
            chosen, slots, offsets = chosen[~applied], slots[~applied], offsets[~applied]
        if not len(chosen):
            return
        columns = self._columns(pipeline, rows.sensors)
        values = rows.values[chosen] if columns is None else rows.values[np.ix_(chosen, columns)]
        result = pipeline.advance(slots, offsets, rows.times[chosen], values, clock)
        outcome.alerts += result.alerts
        outcome.requests += [self._request(pipeline, finding) for finding in result.findings]
        outcome.scored += int(np.count_nonzero(~np.isnan(result.scored.scores)))
        outcome.flags += _count_flags(result.scored.flags)
        if self.settings.scores.emit != "none":
            outcome.scores += _blocks(pipeline, rows, chosen, result.scored, self.settings.scores)

    def _rows(
        self, decoded: Decoded, records: Sequence[Record], rejected: list[Rejected]
    ) -> tuple[Rows, list[ScoreBlock]]:
        if self.assembler is None:
            values = decoded.cells.astype(np.float32)
            rows = Rows(
                self.topic, decoded.partitions, decoded.offsets, decoded.assets, decoded.times, values, self._sensors
            )
            return rows, []
        assembled = self.assembler.add(decoded)
        if assembled.unknown:
            by_coordinates = {(r.partition, r.offset): r for r in records}
            rejected += [
                Rejected(by_coordinates[partition, offset], Reason.UNKNOWN_SENSOR, "no model has the record's sensor")
                for partition, offset, _ in assembled.unknown
            ]
        return assembled.rows, self._late_blocks(assembled)

    def _late_blocks(self, assembled: Assembled) -> list[ScoreBlock]:
        if self.settings.scores.emit != "all":
            return []
        return [
            ScoreBlock(
                asset, None, None, self.topic, partition, None, np.array([offset]), np.array([time]),
                np.array([np.nan]), np.array([int(RowFlag.LATE)]),
            )
            for partition, offset, asset, time in assembled.late
        ]  # fmt: skip

    def _locate(self, rows: Rows, clock: float) -> Ints:
        """The placement of each row's asset: pipeline and slot in one number, or a negative reason."""
        keys = zip(rows.partitions.tolist(), rows.assets, strict=True)
        found = np.fromiter(map(self._placements.get, keys, repeat(NEW)), np.int64, len(rows))
        for row in np.flatnonzero(found == NEW).tolist():
            found[row] = self._placement((int(rows.partitions[row]), rows.assets[row]), clock)
        return found

    def _placement(self, key: tuple[int, str], clock: float) -> int:
        if key in self._placements:
            return self._placements[key]
        model = match(self.settings.watch, key[1])
        if model is None or model not in self.pipelines:
            return UNWATCHED
        if len(self._placements) >= self.settings.limits.max_assets:
            return OVER_LIMIT
        pipeline = self.pipelines[model]
        slot = pipeline.slot(*key)
        pipeline.seen[slot] = clock
        pipeline.next_offset[slot] = self.bucket_offsets.get(key[0], {}).get(bucket_of(key[1]), 0)
        self._placements[key] = placement = self._order.index(model) << _PIPELINE_SHIFT | slot
        return placement

    def _still(self, key: tuple[int, str], placement: int) -> bool:
        name = self._order[placement >> _PIPELINE_SHIFT]
        if match(self.settings.watch, key[1]) == name:
            return True
        slot = placement & 0xFFFFFFFF
        self.pipelines[name].forget(slot)
        self.pipelines[name].assets.release(slot)
        return False

    def _note_unwatched(self, rows: Rows, placements: Ints, outcome: Outcome) -> None:
        for reason, flag in ((UNWATCHED, RowFlag.UNWATCHED), (OVER_LIMIT, RowFlag.OVER_LIMIT)):
            chosen = np.flatnonzero(placements == reason).tolist()
            outcome.flags[flag] += len(chosen)
            for row in chosen:
                if rows.assets[row] in self.unwatched or len(self.unwatched) < _NAMES_KEPT:
                    self.unwatched[rows.assets[row]] += 1
            if self.settings.scores.emit == "all":
                outcome.scores += [_bare_block(rows, row, flag) for row in chosen]

    def _silence(self, clock: float) -> list[Alert]:
        if clock < self._silence_checked + 1.0:
            return []
        self._silence_checked = clock
        alerts = [
            alert for pipeline in self.pipelines.values() for alert in pipeline.silence(clock, by_feed=self._by_feed)
        ]
        for pipeline in self.pipelines.values():
            alerts += self._forget_idle(pipeline, clock)
        return alerts

    def _forget_idle(self, pipeline: ModelPipeline, clock: float) -> list[Alert]:
        """Assets that went away make room. Their data-quality alarms close; one with an open alarm stays."""
        idle = pipeline.idle(clock, by_feed=self._by_feed)
        alerts = pipeline.close_quality(idle)
        for slot in idle:
            key = pipeline.assets.partitions[slot], pipeline.assets.names[slot]
            self.evicted_buckets.add((key[0], bucket_of(key[1])))
            self._placements.pop(key, None)
            pipeline.forget(slot)
            pipeline.assets.release(slot)
        return alerts

    def _request(self, pipeline: ModelPipeline, finding: DriftFinding) -> RetrainRequest:
        return drift_request(pipeline.manifest, finding)

    def _columns(self, pipeline: ModelPipeline, sensors: tuple[str, ...]) -> Ints | None:
        """Where the pipeline's sensors stand among the rows' columns; None where they are the same."""
        if sensors == pipeline.sensor_names:
            return None
        return np.array([sensors.index(name) for name in pipeline.sensor_names])

    def _fit_feed(self) -> None:
        """Decoding follows the sensors of all models; long rows follow the shortest period."""
        pipelines = self.pipelines.values()
        self._sensors = tuple(dict.fromkeys(name for pipeline in pipelines for name in pipeline.sensor_names))
        self._decoder = Decoder(self.settings.feed, self._sensors)
        feed, old = self.settings.feed, self.assembler
        self.assembler = None
        if feed.form == "long":
            period = min((pipeline.manifest.period_s for pipeline in pipelines), default=1.0)
            self.assembler = Assembler(self._sensors, period, feed.lateness_s)
            if old is not None and old.same_rows(self.assembler):
                self.assembler.pending = old.pending


def match(rules: Iterable[WatchRule], asset: str) -> str | None:
    """The model of the first rule whose glob fits the asset."""
    for rule in rules:
        if any(fnmatchcase(asset, glob) for glob in rule.assets):
            return rule.model
    return None


def _count_flags(flags: Ints) -> Counter[RowFlag]:
    if not flags.any():
        return Counter()
    return Counter({flag: int(np.count_nonzero(flags & flag)) for flag in RowFlag})


def _blocks(pipeline: ModelPipeline, rows: Rows, chosen: Ints, scored: Scored, emit: ScoresOut) -> list[ScoreBlock]:
    """Packs a pipeline's rows, one block an asset."""
    source = chosen[scored.order]
    keep = np.ones(len(source), bool)
    if emit.emit == "every_nth":
        keep = rows.offsets[source] % emit.nth == 0
    elif emit.emit == "above":
        keep = scored.scores > emit.fraction * pipeline.rules.threshold
    source, slots, scores, flags = source[keep], scored.slots[keep], scored.scores[keep], scored.flags[keep]
    if not len(source):
        return []
    cuts = np.flatnonzero(slots[1:] != slots[:-1]) + 1
    begins, ends = np.r_[0, cuts].tolist(), np.r_[cuts, len(slots)].tolist()
    return [
        ScoreBlock(
            pipeline.assets.names[slots[b]], pipeline.manifest.model, pipeline.manifest.model_version, rows.topic,
            pipeline.assets.partitions[slots[b]], pipeline.rules.threshold, rows.offsets[source[b:e]],
            rows.times[source[b:e]], scores[b:e], flags[b:e],
        )
        for b, e in zip(begins, ends, strict=True)
    ]  # fmt: skip


def _bare_block(rows: Rows, row: int, flag: RowFlag) -> ScoreBlock:
    return ScoreBlock(
        rows.assets[row], None, None, rows.topic, int(rows.partitions[row]), None, rows.offsets[row : row + 1],
        rows.times[row : row + 1], np.array([np.nan]), np.array([int(flag)]),
    )  # fmt: skip
