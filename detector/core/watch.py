"""The whole way of a record, in one function without I/O: `Watch.process(records, now) -> Outcome`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import numpy as np

from detector.core.arrays import Ints
from detector.core.drift import drift_request
from detector.core.feed_clock import FeedClock
from detector.core.ingest.assemble import Assembled
from detector.core.ingest.decode import Decoder
from detector.core.ingest.rows import Decoded, Record, Rows
from detector.core.long_values import advance_released, assemble, release
from detector.core.outcome import Outcome, count_flags, pack_scores, unscored_rows
from detector.core.pipeline import ModelPipeline, PipelineOutcome
from detector.core.placement import OVER_LIMIT, UNWATCHED, Placements
from detector.core.scoring import Scorer
from detector.core.settings import WatchSettings
from schemas.alert import Alert
from schemas.feed import RowFlag

HOLD_UP_S = 5.0  # between two polls; a longer pause is no silence of the assets
_NAMES_KEPT = 1000  # unwatched assets that are listed by name


class Watch:
    """The state of everything watched. One topic; the assets of its partitions; one pipeline a model.

    by_feed: silence is measured against the feed's newest event time instead of `now`.
    """

    def __init__(self, settings: WatchSettings, scorers: Mapping[str, Scorer], *, by_feed: bool, topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.unwatched: Counter[str] = Counter()
        self.closings: dict[int, list[Alert]] = {}  # partition -> what a restore closed; the next outcome has it
        self._by_feed = by_feed
        self._feed_clock = FeedClock()
        self._silence_checked = -np.inf
        self._now = -np.inf  # the wall clock at the last poll
        self.pipelines = {name: ModelPipeline(scorer, settings, topic) for name, scorer in scorers.items()}
        self.placements = Placements(self.pipelines, settings)
        self._fit_feed()

    def process(self, records: Sequence[Record], now: float, behind: AbstractSet[int] = frozenset()) -> Outcome:
        """Decode -> assemble -> screen -> quality -> window -> score -> incident -> drift, for the records of one poll.

        now: the wall clock in seconds; only silence looks at it. behind: partitions of which more is left than a poll
        reads; by the wall clock none of their assets falls silent. Raises nothing for a bad record.
        """
        self._measure_silence(now, behind)
        decoded, rejected = self._decoder.decode(records)  # 1. bytes to arrays; what cannot be read is set aside
        rows = self._as_rows(decoded)
        if self.settings.feed.form == "long":
            outcome = self._process_values(rows, decoded.names, now)
        else:
            outcome = self.process_rows(rows, now)  # 3. to 9.
        outcome.dead_letters = rejected
        self._note_passed_over(decoded, outcome)
        outcome.records = len(records)
        for record in records:
            outcome.offsets[record.partition] = record.offset + 1
        return outcome

    def process_rows(self, rows: Rows, now: float) -> Outcome:
        """The same from rows on: what `backtest` and `evaluate` call with the rows of a file."""
        outcome, clock = self._begin(rows, now)
        placements = self.placements.locate(rows, clock)  # whose row it is
        for pipeline, chosen, slots in self.placements.of_pipelines(placements):
            result = pipeline.advance(rows, chosen, slots, clock)  # 3. screen to 9. drift
            self._add(pipeline, result, outcome)
        return self._end(rows, placements, clock, outcome)

    def _process_values(self, values: Rows, names: list[str], now: float) -> Outcome:
        """The same for values of long records, a row each.

        2. They wait with their asset until their row is complete: of its model's sensors and period.
        """
        outcome, clock = self._begin(values, now)
        placements = self.placements.locate(values, clock)
        for pipeline, chosen, slots in self.placements.of_pipelines(placements):
            assembled = assemble(pipeline, values, names, chosen, slots, clock)
            self._add(pipeline, pipeline.advance_rows(assembled.rows, clock), outcome)
            self._note_assembled(values, assembled, outcome)
        return self._end(values, placements, clock, outcome)

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version of a model between polls. Raises KeyError for a model that no rule names."""
        self.pipelines[scorer.manifest.model].swap(scorer)
        self._fit_feed()

    def configure(self, settings: WatchSettings) -> None:
        """Takes up new alarm, drift, scores, limits and watch settings; state stays. The feed stays as it was.

        Assets that the new rules give to another model, or to none, are let go by the next `process`, which closes
        what is open of them.
        """
        self.settings = replace(settings, feed=self.settings.feed)
        for pipeline in self.pipelines.values():
            pipeline.configure(self.settings)
        self.placements.configure(self.settings)

    def release(self, partition: int) -> None:
        """Forgets a partition: another member of the group has it now."""
        self.placements.release_partition(partition)
        self.closings.pop(partition, None)

    def changed(self, partition: int) -> bool:
        """Whether a partition's state is newer than its checkpoint, be it without new records: silence."""
        evicted = self.placements.evicted(partition)
        return bool(evicted) or any(pipeline.dirty(partition) for pipeline in self.pipelines.values())

    def finish(self, now: float) -> Outcome:
        """Rows of long records that still wait at the end of a file."""
        outcome, clock = self._begin(Rows.none(self.topic, self._sensors), now)
        outcome.records = self._release(np.inf, outcome)
        outcome.alerts += self._silence(clock, outcome)
        return outcome

    def _measure_silence(self, now: float, behind: AbstractSet[int]) -> None:
        """By the wall clock only time in which records were asked for counts as silence.

        A restore, a commit that waits, a machine that slept or a clock that was put forward is a hold-up: what it took
        beyond HOLD_UP_S is taken out. A clock that was set back takes nothing from a silence, and adds nothing.
        """
        if self._by_feed:
            return
        step_s, self._now = now - self._now, now
        postponed_s = step_s if step_s < 0 else step_s - HOLD_UP_S
        for pipeline in self.pipelines.values():
            if np.isfinite(step_s) and (step_s < 0 or step_s > HOLD_UP_S):
                pipeline.arrivals.postpone(postponed_s, now)
            pipeline.excuse(behind, now)

    def _take_closings(self) -> list[Alert]:
        """What a restore or a reload closed since the last poll."""
        closings, self.closings = self.closings, {}
        return [*(alert for alerts in closings.values() for alert in alerts), *self.placements.regroup()]

    def _begin(self, rows: Rows, now: float) -> tuple[Outcome, float]:
        """The outcome of a poll, and the clock that silence goes by."""
        pipelines = self.pipelines.values()
        silent_after_s = max((pipeline.quality_alarms.silent_after_s for pipeline in pipelines), default=0.0)
        newest = (pipeline.arrivals.newest for pipeline in pipelines)
        newest_s = self._feed_clock.advance(rows.times, newest, silent_after_s)
        outcome = Outcome(self._take_closings(), records=len(rows), newest_s=newest_s)
        return outcome, newest_s if self._by_feed else now

    def _end(self, rows: Rows, placements: Ints, clock: float, outcome: Outcome) -> Outcome:
        """What is left when all pipelines have had their rows."""
        self._note_unwatched(rows, placements, outcome)
        outcome.alerts += self._silence(clock, outcome)
        outcome.alerts.sort(key=lambda a: (a.time, a.subject, a.id))
        return outcome

    def _release(self, clock: float, outcome: Outcome) -> int:
        """Lets rows go that wait for nothing any more; how many there were. inf: all of them."""
        count = 0
        for pipeline in self.pipelines.values() if self.settings.feed.form == "long" else ():
            rows = release(pipeline, self.settings, clock, by_feed=self._by_feed)
            self._add(pipeline, advance_released(pipeline, rows, clock), outcome)
            count += len(rows)
        return count

    def _add(self, pipeline: ModelPipeline, result: PipelineOutcome, outcome: Outcome) -> None:
        scored, emit = result.scored, self.settings.scores
        outcome.alerts += result.alerts
        outcome.requests += [drift_request(pipeline.manifest, finding) for finding in result.findings]
        outcome.scored += int(np.count_nonzero(~np.isnan(scored.scores)))
        outcome.flags += count_flags(scored.flags)
        if emit.emit != "none":
            outcome.scores += pack_scores(pipeline, self.topic, scored, emit)

    def _as_rows(self, decoded: Decoded) -> Rows:
        """A row a record; of long records its one cell is the value."""
        values = decoded.cells.astype(np.float32)
        return Rows(
            self.topic, decoded.partitions, decoded.offsets, decoded.assets, decoded.times, values, self._sensors
        )

    def _note_assembled(self, values: Rows, assembled: Assembled, outcome: Outcome) -> None:
        """Counts what did not become part of a row, and flags late values."""
        outcome.flags[RowFlag.LATE] += len(assembled.late)
        counts = {"unknown_sensor": len(assembled.unknown)}
        counts |= {"overwritten": assembled.overwritten, "released_early": assembled.early}
        outcome.assembly.update(counts)
        if self.settings.scores.emit == "all":
            outcome.scores += unscored_rows(values, assembled.late, RowFlag.LATE)

    def _note_passed_over(self, decoded: Decoded, outcome: Outcome) -> None:
        """Counts bad cells, and what gives no row and is nobody's concern."""
        outcome.cell_faults = decoded.cell_faults
        outcome.assembly["unknown_sensor"] += decoded.unknown
        outcome.flags[RowFlag.UNWATCHED] += decoded.unwatched.total()
        for asset, count in decoded.unwatched.items():
            self._count_unwatched(asset, count)

    def _count_unwatched(self, asset: str, count: int) -> None:
        if asset in self.unwatched or len(self.unwatched) < _NAMES_KEPT:
            self.unwatched[asset] += count

    def _note_unwatched(self, rows: Rows, placements: Ints, outcome: Outcome) -> None:
        for reason, flag in ((UNWATCHED, RowFlag.UNWATCHED), (OVER_LIMIT, RowFlag.OVER_LIMIT)):
            chosen = np.flatnonzero(placements == reason).tolist()
            outcome.flags[flag] += len(chosen)
            for row in chosen:
                self._count_unwatched(rows.assets[row], 1)
            if self.settings.scores.emit == "all":
                outcome.scores += unscored_rows(rows, chosen, flag)

    def _silence(self, clock: float, outcome: Outcome) -> list[Alert]:
        """Alerts of assets that fell silent; those silent for long make room, and their data-quality alarms close."""
        if self._silence_checked <= clock < self._silence_checked + 1.0:  # else a second passed, or it was set back
            return []
        self._silence_checked = clock
        self._release(clock, outcome)
        pipelines = self.pipelines.values()
        alerts = [alert for pipeline in pipelines for alert in pipeline.silence(clock, by_feed=self._by_feed)]
        for pipeline in pipelines:
            idle = pipeline.idle(clock, by_feed=self._by_feed)
            alerts += pipeline.forget_idle(idle)
            self.placements.evict(pipeline, idle)
        return alerts

    def _fit_feed(self) -> None:
        """Decoding follows the sensors of all models."""
        pipelines = self.pipelines.values()
        self._sensors = tuple(dict.fromkeys(name for pipeline in pipelines for name in pipeline.sensor_names))
        self._decoder = Decoder(self.settings.feed, self._sensors, self.placements.watches)
