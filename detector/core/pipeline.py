"""One model and the assets it watches: screen, quality, window, score, incident, drift, for all assets at once."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

from detector.core.alarms.alerts import Event, Subject, build
from detector.core.alarms.explanation import explain
from detector.core.alarms.incidents import Incident, incident_id, new_incident
from detector.core.alarms.process import ProcessAlarms, process_rules
from detector.core.alarms.quality import QualityAlarms
from detector.core.arrays import Bools, Doubles, Floats, Ints
from detector.core.arrivals import Arrivals
from detector.core.component import Component
from detector.core.drift import DriftFinding, DriftWatch
from detector.core.ingest.assemble import Assembler
from detector.core.ingest.rows import Rows
from detector.core.quality import QualityMonitor
from detector.core.scoring import Scorer, ScoreSmoother
from detector.core.settings import WatchSettings
from detector.core.slots import AssetTable, SlotRows
from detector.core.windows import Advance, Windows, WindowShape
from schemas.alert import Alert, AlertKind, CloseReason, Condition
from schemas.feed import RowFlag


@dataclass(frozen=True, slots=True)
class Scored:
    """A poll's rows of one pipeline; score is NaN where a row was not scored."""

    rows: SlotRows
    flags: Ints  # (row,)
    scores: Doubles  # (row,)


@dataclass(frozen=True, slots=True)
class PipelineOutcome:
    """What a pipeline makes of a poll's rows."""

    scored: Scored
    alerts: list[Alert]
    findings: list[DriftFinding]


class ModelPipeline:
    """The state of one model's assets. Slots come from `assets`; every component grows with it."""

    def __init__(self, scorer: Scorer, settings: WatchSettings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self.assets = AssetTable()
        self.arrivals = Arrivals()
        self._fit(scorer)

    def _fit(self, scorer: Scorer) -> None:
        """Components for a bundle, all of them empty."""
        manifest, settings = scorer.manifest, self._settings
        sensors, capacity = manifest.sensors, self.arrivals.capacity
        shape = WindowShape(manifest.window, len(sensors), manifest.stride, manifest.max_gap_s, manifest.fill_limit)
        self.scorer, self.manifest = scorer, manifest
        self.sensor_names = tuple(sensor.name for sensor in sensors)  # in the bundle's order
        self.windows = Windows(shape, capacity)
        self.smoother = ScoreSmoother(manifest.scoring, shape.sensors, capacity)
        self.quality = QualityMonitor(sensors, settings.alarms.missing_rows, settings.alarms.range_rows, capacity)
        self.assembler: Assembler | None = None
        if settings.feed.form == "long":
            self.assembler = Assembler(self.sensor_names, manifest.period_s, settings.feed.lateness_s)
        self.drift: DriftWatch | None = None
        rules = process_rules(manifest, settings.alarms)
        self.process_alarms = ProcessAlarms(rules, self._new_incident)
        self.quality_alarms = QualityAlarms(sensors, rules, 0.0, self._new_incident)
        self.configure(settings)

    def configure(self, settings: WatchSettings) -> None:
        """Takes up new delays, factors and limits, and starts or drops the drift watch; all other state stays."""
        self._settings = settings
        alarms, period_s = settings.alarms, self.manifest.period_s
        self.quality.configure(alarms.missing_rows, alarms.range_rows)
        rules = self.process_alarms.rules = process_rules(self.manifest, alarms)
        off_s = alarms.quality_off_rows * period_s
        self.quality_alarms.rules = replace(rules, threshold=1.0, lower=1.0, on_delay_s=0.0, off_delay_s=off_s)
        self.quality_alarms.silent_after_s = alarms.silent_after_s or max(20 * period_s, 60.0)
        reference = self.manifest.drift if settings.drift.enabled else None
        if reference is None:
            self.drift = None
        elif self.drift is None:
            self.drift = DriftWatch(reference, self.sensor_names, settings.drift, self.arrivals.capacity)
        else:
            self.drift.settings = settings.drift

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version between polls; rows of the same sensors, in any order, stay in the windows."""
        names, windows, smoother, quality = self.sensor_names, self.windows, self.smoother, self.quality
        process_alarms, quality_alarms, drift = self.process_alarms, self.quality_alarms, self.drift
        assembler = self.assembler
        self._fit(scorer)
        self.process_alarms.adopt(process_alarms)
        self.quality_alarms.adopt(quality_alarms)
        self.smoother.adopt(smoother)
        columns = np.array([names.index(name) if name in names else -1 for name in self.sensor_names])
        if self.sensor_names != names:
            quality.reorder(columns)
        self.quality.adopt(quality)
        if set(self.sensor_names) == set(names):
            windows.reorder(columns)
            self.windows.adopt(windows)
        if self.assembler and assembler:
            self.assembler.adopt(assembler)
        if self.drift and drift:
            self.drift.adopt(drift)

    def advance(self, poll: Rows, chosen: Ints, slots: Ints, clock: float) -> PipelineOutcome:
        """The way of a poll's rows that are this pipeline's. chosen, slots: (row,) in order of arrival.

        clock: what silence is measured against, seconds.
        """
        return self.advance_rows(self._sorted(poll, chosen, slots), clock)  # by slot, once

    def advance_rows(self, rows: SlotRows, clock: float) -> PipelineOutcome:
        """The same for rows that are sorted by slot, and known not to be in the state already."""
        if not len(rows):
            return PipelineOutcome(Scored(rows, rows.slots, rows.times), [], [])
        screened = self.arrivals.screen(rows)  # late rows are flagged, and go no further
        kept = screened.kept_rows
        returned = self.quality_alarms.returns(screened)
        runs = self.quality.advance(kept.slots, kept.values)  # of stuck, missing and out-of-range sensors
        masked = runs.mask(kept.values)
        advance = self.windows.slide(screened, masked)
        reset_before = advance.reset_before()
        scores, vectors = self._score(advance, reset_before)
        events, open_rows = self.process_alarms.judge(rows, advance.scored, scores, reset_before)
        events += self.quality_alarms.judge(kept, runs)
        self._explain(events, advance, vectors)
        findings = self._watch_drift(advance, masked, runs.unusual, scores, open_rows)
        self.arrivals.note(rows, clock)  # from here on the rows are in the state
        full = np.full(len(rows), np.nan)
        full[advance.scored] = scores
        return PipelineOutcome(Scored(rows, screened.flags, full), self._alerts([*returned, *events]), findings)

    def slot(self, partition: int, asset: str) -> int:
        """The slot of an asset, made where it is new."""
        slot = self.assets.take(partition, asset)
        if slot >= self.arrivals.capacity:
            capacity = 2 * self.arrivals.capacity
            for component in self.components():
                component.grow(capacity)
        return slot

    def take(self, partition: int, asset: str, next_offset: int, clock: float) -> int:
        """The slot of a new asset. next_offset: its records below it are in a checkpoint; clock: as for `advance`."""
        slot = self.slot(partition, asset)
        self.arrivals.meet(slot, next_offset, clock)
        return slot

    def release(self, slots: Sequence[int]) -> None:
        """Forgets assets and frees their slots."""
        self.forget(np.array(slots, np.int64))
        for slot in slots:
            self.assets.release(slot)

    @property
    def threshold(self) -> float:
        """The score above which a row is anomalous."""
        return self.process_alarms.rules.threshold

    def silence(self, clock: float, *, by_feed: bool) -> list[Alert]:
        """Opens an incident for each asset that has sent nothing for `silent_after_s`."""
        arrivals = self.arrivals
        quiet = np.array(self._quiet(clock, self.quality_alarms.silent_after_s, by_feed=by_feed), np.int64)
        quiet = quiet[np.isfinite(arrivals.newest[quiet])]
        newest, last = arrivals.newest[quiet].tolist(), arrivals.newest_offset[quiet].tolist()
        events = self.quality_alarms.fall_silent(quiet.tolist(), newest, last)
        arrivals.dirty[[event.slot for event in events]] = True
        return self._alerts(events)

    def idle(self, clock: float, *, by_feed: bool) -> list[int]:
        """Slots without a record for limits.idle_s and without an open process incident: silence ends none."""
        quiet = self._quiet(clock, self._settings.limits.idle_s, by_feed=by_feed)
        known = self.process_alarms.incidents
        return [slot for slot in quiet if slot not in known or not known[slot].is_open]

    def forget_idle(self, slots: Sequence[int]) -> list[Alert]:
        """Closes what is open of idle assets, at the moment that `limits.idle_s` was over: before they are released."""
        return self.close(slots, CloseReason.FORGOTTEN, self._settings.limits.idle_s)

    def close(self, slots: Sequence[int], reason: CloseReason, after_s: float = 0.0) -> list[Alert]:
        """Closes what is open of assets that are no longer judged, dated `after_s` after their newest row."""
        at = (self.arrivals.newest[np.array(slots, np.int64)] + after_s).tolist()
        return self._alerts(
            [*self.process_alarms.close(slots, reason, at), *self.quality_alarms.close(slots, reason, at)]
        )

    def open_incidents(self, kind: AlertKind) -> int:
        """How many incidents of a kind are open."""
        known = [*self.process_alarms.incidents.values(), *self.quality_alarms.incidents.values()]
        return sum(incident.is_open for incident in known if incident.kind is kind)

    def dirty(self, partition: int) -> list[int]:
        """Slots of a partition that changed since the last checkpoint."""
        return [s for s in np.flatnonzero(self.arrivals.dirty).tolist() if self.assets.partitions[s] == partition]

    def clean(self, slots: Sequence[int]) -> None:
        """A checkpoint has these slots as they are."""
        self.arrivals.dirty[np.array(slots, np.int64)] = False

    def components(self) -> list[Component]:
        """All that remembers something of an asset; the incidents of the process before those of data quality."""
        components: list[Component] = [self.arrivals, self.windows, self.smoother, self.quality]
        components += [self.process_alarms, self.quality_alarms]
        components += [self.assembler] if self.assembler else []
        return [*components, self.drift] if self.drift else components

    def forget(self, slots: Ints) -> None:
        """Empties slots, which keep their assets."""
        for component in self.components():
            component.forget(slots)

    def excuse(self, behind: AbstractSet[int], clock: float) -> None:
        """Of partitions that are behind nobody knows who is silent: an asset that would be gets its time once more."""
        if behind:
            quiet = self.arrivals.quiet(clock, self.quality_alarms.silent_after_s, by_feed=False)
            excused = [slot for slot in quiet if self.assets.partitions[slot] in behind]
            self.arrivals.expect(np.array(excused, np.int64), clock)

    def _quiet(self, clock: float, after_s: float, *, by_feed: bool) -> list[int]:
        """Slots without a record for longer than `after_s`; rows that wait show that there were some."""
        quiet = self.arrivals.quiet(clock, after_s, by_feed=by_feed)
        if self.assembler is None:
            return quiet
        waiting = set(self.assembler.waiting().tolist())
        return [slot for slot in quiet if slot not in waiting]

    def _sorted(self, poll: Rows, chosen: Ints, slots: Ints) -> SlotRows:
        """The chosen rows by slot; without those of a replay up to the checkpoint, which are in the state already."""
        new = np.flatnonzero(poll.offsets[chosen] >= self.arrivals.next_offset[slots])
        order = new[np.argsort(slots[new], kind="stable")]
        source = chosen[order]
        if poll.sensors == self.sensor_names:
            values = poll.values[source]
        else:
            columns = np.array([poll.sensors.index(name) for name in self.sensor_names])
            values = poll.values[np.ix_(source, columns)]
        return SlotRows(source, slots[order], poll.offsets[source], poll.times[source], values)

    def _score(self, advance: Advance, reset_before: Bools) -> tuple[Doubles, Doubles]:
        """Scores and vectors of the windows that are full; NaN, flagged, where the graph gives nothing finite."""
        count, size, width = len(advance.scored), self._settings.limits.batch_windows, self.smoother.width
        starts = range(0, count, size)
        batches = [self.smoother.ask(self.scorer, advance.windows(b, min(b + size, count))) for b in starts]
        raw = np.concatenate(batches) if batches else np.empty((0, width), np.float32)
        finite = np.isfinite(raw).sum(axis=1) == width
        if not finite.all():
            advance.screened.flags[advance.scored[~finite]] |= RowFlag.NO_SCORE
            raw = np.where(finite[:, None], raw, 0.0).astype(np.float32)
        scores, vectors = self.smoother.advance(advance.screened.rows.slots[advance.scored], raw, reset_before)
        self.smoother.forget(advance.reset_after())
        return np.where(finite, scores, np.nan), vectors

    def _explain(self, events: list[Event], advance: Advance, vectors: Doubles) -> None:
        top, batch = self._settings.alarms.top_sensors, self._settings.limits.batch_windows
        explain(events, advance, vectors, self.scorer, self.smoother, top_sensors=top, batch=batch)

    def _watch_drift(
        self, advance: Advance, masked: Floats, unusual: Bools, scores: Doubles, open_rows: Bools
    ) -> list[DriftFinding]:
        """A bad sensor is no drift. masked (row, sensor), unusual (row,): of the kept rows."""
        if self.drift is None:
            return []
        # Among several assets the vote tells a fault of one from a drift of all; one alone has only its incidents.
        alone = len(self.assets) < 2
        chosen = ~np.isnan(scores) & ~(open_rows & alone)
        kept = np.searchsorted(advance.screened.kept, advance.scored[chosen])
        rows, judged = advance.screened.kept_rows, np.where(unusual[kept], np.nan, scores[chosen])
        return self.drift.advance(rows.slots[kept], rows.times[kept], judged, masked[kept])

    def _new_incident(self, slot: int, condition: Condition, sensor: str, time_s: float, offset: int) -> Incident:
        subject = self.manifest.model if condition is Condition.ANOMALY else f"{condition.value}/{sensor}"
        asset, partition = self.assets.names[slot], self.assets.partitions[slot]
        return new_incident(
            incident_id(asset, subject, self._topic, partition, offset), condition, sensor, time_s, offset
        )

    def _alerts(self, events: list[Event]) -> list[Alert]:
        return [build(event, self._subject(event)) for event in events]

    def _subject(self, event: Event) -> Subject:
        threshold = self.threshold if event.then.kind is AlertKind.PROCESS else 1.0
        return Subject(
            self.assets.names[event.slot], self._topic, self.assets.partitions[event.slot],
            self.manifest.model, self.manifest.model_version, threshold,
        )  # fmt: skip
