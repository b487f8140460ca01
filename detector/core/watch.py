"""The whole way of a record, in one function without I/O: `Watch.process(records, now) -> Outcome`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from detector.core.arrays import Ints
from detector.core.drift import drift_request
from detector.core.ingest.assemble import Assembled, Assembler
from detector.core.ingest.decode import Decoder
from detector.core.ingest.rows import Decoded, Record, Rejected, Rows
from detector.core.outcome import Outcome, ScoreBlock, count_flags, pack_scores, unscored_block, unscored_rows
from detector.core.pipeline import ModelPipeline, PipelineOutcome
from detector.core.placement import OVER_LIMIT, UNWATCHED, Placements
from detector.core.scoring import Scorer
from detector.core.settings import WatchSettings
from schemas.alert import Alert
from schemas.feed import Reason, RowFlag

_NAMES_KEPT = 1000  # unwatched assets that are listed by name


class Watch:
    """The state of everything watched. One topic; the assets of its partitions; one pipeline a model.

    by_feed: silence is measured against the feed's newest event time instead of `now`.
    """

    def __init__(self, settings: WatchSettings, scorers: Mapping[str, Scorer], *, by_feed: bool, topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.unwatched: Counter[str] = Counter()
        self._by_feed = by_feed
        self._feed_clock = -np.inf
        self._silence_checked = -np.inf
        self.pipelines = {name: ModelPipeline(scorer, settings, topic) for name, scorer in scorers.items()}
        self.placements = Placements(self.pipelines, settings)
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
        placements = self.placements.locate(rows, clock)  # 3. whose row it is
        for pipeline, chosen, slots in self.placements.of_pipelines(placements):
            result = pipeline.advance(rows, chosen, slots, clock)  # 4. window, 5. score, 6. incidents, 7. drift
            self._add(pipeline, rows.topic, result, outcome)
        self._note_unwatched(rows, placements, outcome)
        outcome.alerts += self._silence(clock)
        outcome.alerts.sort(key=lambda a: (a.time, a.subject, a.id))
        return outcome

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version of a model between polls. Raises KeyError for a model that no rule names."""
        self.pipelines[scorer.manifest.model].swap(scorer)
        self._fit_feed()

    def configure(self, settings: WatchSettings) -> None:
        """Takes up new alarm, drift, scores, limits and watch settings; state stays. The feed stays as it was."""
        self.settings = replace(settings, feed=self.settings.feed)
        for pipeline in self.pipelines.values():
            pipeline.configure(self.settings)
        self.placements.configure(self.settings)

    def release(self, partition: int) -> None:
        """Forgets a partition: another member of the group has it now."""
        self.placements.release_partition(partition)
        if self.assembler is not None:
            self.assembler.pending.pop(partition, None)

    def changed(self, partition: int) -> bool:
        """Whether a partition's state is newer than its checkpoint, be it without new records: silence."""
        evicted = self.placements.evicted(partition)
        return bool(evicted) or any(pipeline.dirty(partition) for pipeline in self.pipelines.values())

    def finish(self, now: float) -> Outcome:
        """Rows of long records that still wait at the end of a file."""
        if self.assembler is None:
            return Outcome()
        return self.process_rows(self.assembler.flush(self.topic), now)

    def _add(self, pipeline: ModelPipeline, topic: str, result: PipelineOutcome, outcome: Outcome) -> None:
        scored, emit = result.scored, self.settings.scores
        outcome.alerts += result.alerts
        outcome.requests += [drift_request(pipeline.manifest, finding) for finding in result.findings]
        outcome.scored += int(np.count_nonzero(~np.isnan(scored.scores)))
        outcome.flags += count_flags(scored.flags)
        if emit.emit != "none":
            outcome.scores += pack_scores(pipeline, topic, scored, emit)

    def _rows(
        self, decoded: Decoded, records: Sequence[Record], rejected: list[Rejected]
    ) -> tuple[Rows, list[ScoreBlock]]:
        """Rows that are complete, and the late values among long records."""
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
            unscored_block(self.topic, asset, partition, offset, time, RowFlag.LATE)
            for partition, offset, asset, time in assembled.late
        ]

    def _note_unwatched(self, rows: Rows, placements: Ints, outcome: Outcome) -> None:
        for reason, flag in ((UNWATCHED, RowFlag.UNWATCHED), (OVER_LIMIT, RowFlag.OVER_LIMIT)):
            chosen = np.flatnonzero(placements == reason).tolist()
            outcome.flags[flag] += len(chosen)
            for row in chosen:
                if rows.assets[row] in self.unwatched or len(self.unwatched) < _NAMES_KEPT:
                    self.unwatched[rows.assets[row]] += 1
            if self.settings.scores.emit == "all":
                outcome.scores += unscored_rows(rows, chosen, flag)

    def _silence(self, clock: float) -> list[Alert]:
        """Alerts of assets that fell silent; those silent for long make room, and their data-quality alarms close."""
        if clock < self._silence_checked + 1.0:
            return []
        self._silence_checked = clock
        pipelines = self.pipelines.values()
        alerts = [alert for pipeline in pipelines for alert in pipeline.silence(clock, by_feed=self._by_feed)]
        for pipeline in pipelines:
            idle = pipeline.idle(clock, by_feed=self._by_feed)
            alerts += pipeline.close_quality(idle)
            self.placements.evict(pipeline, idle)
        return alerts

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
