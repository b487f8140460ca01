"""One model and the assets it watches: quality, window, score, verdict, incident, drift, for all assets at once."""

from dataclasses import dataclass, replace

import numpy as np

from detector.core.alarms.alerts import Event, Subject, build, evidence, short
from detector.core.alarms.incidents import Incident, Phase, Rules, incident_id, step
from detector.core.arrays import Bools, Doubles, Floats, Ints, first_of_runs
from detector.core.drift import DriftFinding, DriftWatch
from detector.core.quality import CONDITIONS, Quality, Verdicts
from detector.core.scoring import Scorer, ScoreSmoother
from detector.core.slots import AssetTable
from detector.core.windows import Advance, Screened, Windows, WindowShape
from schemas.alert import Alert, AlertKind, AlertState, Condition, Evidence
from schemas.alert import Quality as QualityFacts
from schemas.config import Settings
from schemas.feed import RowFlag
from schemas.manifest import Manifest

QualityKey = tuple[int, str, str]  # slot, condition, sensor


@dataclass(frozen=True, slots=True)
class Scored:
    """A poll's rows of one pipeline, sorted by slot; score is NaN where a row was not scored."""

    order: Ints  # (row,) position among the rows given
    slots: Ints  # (row,)
    flags: Ints  # (row,)
    scores: Doubles  # (row,)


@dataclass(frozen=True, slots=True)
class PipelineOutcome:
    """What a pipeline makes of a poll's rows."""

    scored: Scored
    alerts: list[Alert]
    findings: list[DriftFinding]


class ModelPipeline:
    """The state of one model's assets. Slots come from `assets`; every array grows with it."""

    def __init__(self, scorer: Scorer, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self.assets = AssetTable()
        self.incidents: dict[int, Incident] = {}
        self.quality_incidents: dict[QualityKey, Incident] = {}
        self.seen: Doubles = np.full(64, np.inf)  # clock of the newest record; inf: nothing to expect
        self.next_offset: Ints = np.zeros(64, np.int64)  # records below it are in the state already
        self.dirty: Bools = np.zeros(64, bool)  # touched since the last checkpoint
        self.fit(scorer)

    def fit(self, scorer: Scorer) -> None:
        """Takes up a bundle. Incidents stay; windows stay as far as they have the same form; memories begin anew."""
        manifest = scorer.manifest
        capacity = len(self.next_offset)
        shape = WindowShape(
            manifest.window, len(manifest.sensors), manifest.stride, manifest.max_gap_s, manifest.fill_limit
        )
        alarms = self._settings.alarms
        self.scorer, self.manifest = scorer, manifest
        self.windows = Windows(shape, capacity)
        self.smoother = ScoreSmoother(manifest.scoring, shape.sensors, capacity)
        self.quality = Quality(manifest.sensors, alarms.missing_rows, alarms.range_rows, capacity)
        names = tuple(s.name for s in manifest.sensors)
        drift = self._settings.drift
        self.drift = DriftWatch(manifest.drift, names, drift, capacity) if manifest.drift and drift.enabled else None
        self.configure(self._settings)

    def configure(self, settings: Settings) -> None:
        """Takes up new delays, factors and drift limits; state stays."""
        self._settings = settings
        alarms, period_s = settings.alarms, self.manifest.period_s
        self.rules = process_rules(self.manifest, settings)
        off_s = alarms.quality_off_rows * period_s
        self._quality_rules = replace(self.rules, threshold=1.0, lower=1.0, on_delay_s=0.0, off_delay_s=off_s)
        self._silent_after_s = alarms.silent_after_s or max(20 * period_s, 60.0)
        if self.drift:
            self.drift.settings = settings.drift

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version between polls; rows of the same sensors stay in the windows."""
        old_windows, old_names, old_quality = self.windows, self.sensor_names, self.quality
        asked = self.drift.asked_s if self.drift else -np.inf
        self.fit(scorer)
        if self.sensor_names == old_names:
            self.windows.adopt(old_windows)
            self.quality.adopt(old_quality)
        if self.drift:
            self.drift.asked_s = asked

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """In the bundle's order."""
        return tuple(s.name for s in self.manifest.sensors)

    def slot(self, partition: int, asset: str) -> int:
        """The slot of an asset, made where it is new."""
        slot = self.assets.take(partition, asset)
        if slot >= len(self.next_offset):
            self._grow(2 * len(self.next_offset))
        return slot

    def release(self, partition: int) -> None:
        """Forgets a partition's assets: another member has them now."""
        for slot in self.assets.of_partition(partition):
            self.forget(slot)
            self.assets.release(slot)

    def forget(self, slot: int) -> None:
        """Empties a slot."""
        self.windows.forget(slot)
        self.smoother.forget(slot)
        self.quality.forget(slot)
        if self.drift:
            self.drift.forget(slot)
        self.seen[slot] = np.inf
        self.next_offset[slot] = 0
        self.dirty[slot] = False
        self.incidents.pop(slot, None)
        for key in [key for key in self.quality_incidents if key[0] == slot]:
            del self.quality_incidents[key]

    def advance(self, slots: Ints, offsets: Ints, times: Doubles, values: Floats, clock: float) -> PipelineOutcome:
        """The way of rows in order of arrival. values: (row, sensor); clock: for silence, seconds."""
        screened = self.windows.screen(slots, times)
        kept_values = values[screened.order[screened.kept]]
        k_slots = screened.slots[screened.kept]
        k_times, k_offsets = screened.times[screened.kept], offsets[screened.order[screened.kept]]
        returning = self._returns(screened, k_offsets)
        verdicts = self.quality.advance(k_slots, kept_values)
        masked = np.where(verdicts.bad, np.nan, kept_values) if verdicts.bad.any() else kept_values
        advance = self.windows.slide(screened, masked)
        reset_before, reset_after = advance.memory()
        scores, vectors = self._score(advance, reset_before, reset_after)
        events, open_rows = self._judge(advance, scores, reset_before, offsets)
        events += self._judge_quality(k_slots, k_times, k_offsets, kept_values, verdicts)
        self._explain(events, advance, vectors)
        findings = self._watch_drift(advance, scores, values, open_rows)
        self.seen[slots], self.dirty[slots] = clock, True
        np.maximum.at(self.next_offset, slots, offsets + 1)
        full = np.full(len(slots), np.nan)
        full[advance.scored] = scores
        alerts = self._alerts([*returning, *events])
        return PipelineOutcome(Scored(screened.order, screened.slots, screened.flags, full), alerts, findings)

    def silence(self, clock: float, *, by_feed: bool) -> list[Alert]:
        """Opens an incident for each asset that has sent nothing for `silent_after_s`."""
        quiet = self._quiet(clock, self._silent_after_s, by_feed)
        new = [slot for slot in quiet if (slot, Condition.SILENT.value, "") not in self.quality_incidents]
        return self._alerts([self._fall_silent(slot) for slot in new])

    def idle(self, clock: float, *, by_feed: bool) -> list[int]:
        """Slots without a record for limits.idle_s and without a process incident."""
        quiet = self._quiet(clock, self._settings.limits.idle_s, by_feed)
        return [slot for slot in quiet if slot not in self.incidents]

    def _quiet(self, clock: float, after_s: float, by_feed: bool) -> list[int]:
        since = self.windows.newest if by_feed else self.seen
        known = np.flatnonzero(np.isfinite(since) & np.isfinite(self.seen))
        return [int(slot) for slot in known[clock - since[known] > after_s]]

    def close_quality(self, slots: list[int]) -> list[Alert]:
        """Closes the data-quality incidents of assets that are no longer watched."""
        events: list[Event] = []
        for key in [key for key in self.quality_incidents if key[0] in slots] if slots else []:
            incident = self.quality_incidents.pop(key)
            if not incident.is_open:
                continue
            incident.phase, incident.sequence = Phase.CLOSED, incident.sequence + 1
            events.append(Event(AlertState.CLOSED, key[0], incident.last_s, replace(incident), incident))
        return self._alerts(events)

    def is_dirty(self, partition: int) -> bool:
        """Whether an asset of a partition changed since the last checkpoint."""
        return any(self.assets.partitions[slot] == partition for slot in np.flatnonzero(self.dirty).tolist())

    def _returns(self, screened: Screened, offsets: Ints) -> list[Event]:
        """Silence ends with a row; a silence that began and ended unseen between two rows is told as well."""
        if not len(screened.kept):
            return []
        slots, times = screened.slots[screened.kept], screened.times[screened.kept]
        first = first_of_runs(slots)
        before = np.where(first, self.windows.newest[slots], np.r_[0.0, times[:-1]])
        gap = (times - before > self._silent_after_s) & np.isfinite(before)
        silent = {key[0] for key in self.quality_incidents if key[1] == Condition.SILENT}
        known = first & np.isin(slots, list(silent)) if silent else np.zeros(len(slots), bool)
        events: list[Event] = []
        for row in np.flatnonzero(gap | known).tolist():
            slot = int(slots[row])
            key = (slot, Condition.SILENT.value, "")
            if key not in self.quality_incidents:
                last = int(offsets[row - 1]) if not first[row] else int(self.next_offset[slot]) - 1
                events.append(self._fall_silent(slot, float(before[row]), last))
            events.append(self._end(key, float(times[row]), int(offsets[row])))
        return events

    def _fall_silent(self, slot: int, newest_s: float | None = None, last_offset: int | None = None) -> Event:
        """The nominal moment is told, not the moment it was noticed, so that a replay says the same."""
        begun = float(self.windows.newest[slot]) if newest_s is None else newest_s
        offset = int(self.next_offset[slot]) - 1 if last_offset is None else last_offset
        incident = self._begin(slot, AlertKind.QUALITY, Condition.SILENT, "", begun, offset)
        incident.phase, incident.score, incident.peak, incident.ratio = Phase.OPEN, 1.0, 1.0, 1.0
        self.quality_incidents[slot, Condition.SILENT.value, ""] = incident
        self.dirty[slot] = True
        return Event(AlertState.OPENED, slot, begun + self._silent_after_s, replace(incident), incident)

    def _let_go(self, slots: Ints, times: Doubles, offsets: Ints) -> list[Event]:
        """Ends incidents of sensors that this version of the model does not have: no row could close them any more."""
        known = {"", *self.sensor_names}
        gone = [key for key in self.quality_incidents if key[2] not in known and key[0] in slots]
        rows = [int(np.flatnonzero(slots == key[0])[0]) for key in gone]
        return [self._end(key, float(times[row]), int(offsets[row])) for key, row in zip(gone, rows, strict=True)]

    def _end(self, key: QualityKey, time: float, offset: int) -> Event:
        """Ends a quality incident at a row, without an off-delay."""
        incident = self.quality_incidents.pop(key)
        incident.phase, incident.sequence = Phase.CLOSED, incident.sequence + 1
        incident.last_s, incident.last_offset = time, offset
        return Event(AlertState.CLOSED, key[0], time, replace(incident), incident)

    def _score(self, advance: Advance, reset_before: Bools, reset_after: Ints) -> tuple[Doubles, Doubles]:
        """Scores of the windows that are full; a window without a finite score loses its place among them."""
        count, size = len(advance.scored), self._settings.limits.batch_windows
        starts, width = range(0, count, size), self.smoother.width
        parts = [self.smoother.ask(self.scorer, advance.windows(b, min(b + size, count))) for b in starts]
        raw = np.concatenate(parts) if parts else np.empty((0, width), np.float32)
        finite = np.isfinite(raw).sum(axis=1) == width
        if not finite.all():
            advance.screened.flags[advance.scored[~finite]] |= RowFlag.NO_SCORE
            raw = np.where(finite[:, None], raw, 0.0).astype(np.float32)
        slots = advance.screened.slots[advance.scored]
        scores, vectors = self.smoother.advance(slots, raw, reset_before)
        if len(reset_after):
            self.smoother.forget(reset_after)
        return np.where(finite, scores, np.nan), vectors

    def _judge(
        self, advance: Advance, scores: Doubles, reset_before: Bools, offsets: Ints
    ) -> tuple[list[Event], Bools]:
        """Process incidents. Only slots with an incident or a score above the threshold are walked row by row."""
        screened = advance.screened
        slots = screened.slots[advance.scored]
        open_rows = np.zeros(len(slots), bool)
        events: list[Event] = []
        active = set(slots[scores > self.rules.threshold].tolist()) | self.incidents.keys()
        if not active:
            return events, open_rows
        for row in np.flatnonzero(np.isin(slots, list(active))).tolist():
            slot, score, position = int(slots[row]), float(scores[row]), int(advance.scored[row])
            incident = self.incidents.get(slot)
            if incident is not None and incident.phase is Phase.PENDING and reset_before[row]:
                del self.incidents[slot]  # a gap breaks what was not yet an alarm
                incident = None
            if np.isnan(score) or (incident is None and score <= self.rules.threshold):
                continue
            time, offset = float(screened.times[position]), int(offsets[screened.order[position]])
            if incident is None:
                incident = self._begin(slot, AlertKind.PROCESS, Condition.ANOMALY, "", time, offset)
                self.incidents[slot] = incident
            state = step(incident, self.rules, time, offset, score)
            open_rows[row] = incident.is_open or state is not None
            if state is not None:
                events.append(Event(state, slot, time, replace(incident), incident, row))
            if incident.phase in (Phase.CLOSED, Phase.DROPPED):
                del self.incidents[slot]
        return events, open_rows

    def _judge_quality(
        self, slots: Ints, times: Doubles, offsets: Ints, values: Floats, verdicts: Verdicts
    ) -> list[Event]:
        events = self._let_go(slots, times, offsets)
        columns = {sensor: column for column, sensor in enumerate(self.sensor_names)}
        for condition, runs, limits in zip(CONDITIONS, verdicts.runs, self.quality.limits, strict=True):
            bad = runs >= limits
            pairs = {(int(slots[row]), int(column)) for row, column in zip(*np.nonzero(bad), strict=True)}
            for slot, name, sensor in self.quality_incidents:
                if name == condition and sensor in columns:
                    pairs.add((slot, columns[sensor]))
            for slot, column in sorted(pairs):
                for row in np.flatnonzero(slots == slot).tolist():
                    events += self._step_quality(
                        slot, condition, column, float(times[row]), int(offsets[row]),
                        float(runs[row, column] / limits[column]), float(values[row, column]),
                    )  # fmt: skip
        return events

    def _step_quality(
        self, slot: int, condition: Condition, column: int, time: float, offset: int, level: float, value: float
    ) -> list[Event]:
        sensor = self.manifest.sensors[column]
        key = (slot, condition.value, sensor.name)
        incident = self.quality_incidents.get(key)
        if incident is None:
            if level < 1.0:
                return []
            incident = self._begin(slot, AlertKind.QUALITY, condition, sensor.name, time, offset)
            observed = None if np.isnan(value) else short(value)
            incident.evidence = [
                Evidence(sensor=sensor.name, unit=sensor.unit, observed=observed, expected=None, contribution=1.0)
            ]
            self.quality_incidents[key] = incident
        # A run either reaches its limit or it does not: how long it has lasted is no severity.
        state = step(incident, self._quality_rules, time, offset, 1.5 if level >= 1.0 else 0.0)
        if incident.phase is Phase.CLOSED:
            del self.quality_incidents[key]
        return [] if state is None else [Event(state, slot, time, replace(incident), incident)]

    def _begin(
        self, slot: int, kind: AlertKind, condition: Condition, sensor: str, time: float, offset: int
    ) -> Incident:
        subject = self.manifest.model if kind is AlertKind.PROCESS else f"{condition.value}/{sensor}"
        name, partition = self.assets.names[slot], self.assets.partitions[slot]
        return Incident(
            id=incident_id(name, subject, self._topic, partition, offset),
            kind=kind, condition=condition, sensor=sensor, phase=Phase.PENDING,
            start_s=time, first_offset=offset, last_s=time, last_offset=offset, score=0.0, peak=0.0, ratio=0.0,
        )  # fmt: skip

    def _explain(self, events: list[Event], advance: Advance, vectors: Doubles) -> None:
        """Asks the graph what it expected, for the events that are told with fresh evidence."""
        explained = [e for e in events if e.scored >= 0 and e.state is not AlertState.CLOSED]
        size = self._settings.limits.batch_windows
        for begin in range(0, len(explained), size):
            part = explained[begin : begin + size]
            windows = np.concatenate([advance.windows(e.scored, e.scored + 1) for e in part])
            said = self.scorer.explain(windows)
            errors = said.sensor_error.astype(np.float64)
            shares = self.smoother.contributions(vectors[[e.scored for e in part]], errors)
            for i, event in enumerate(part):
                window = windows[i]
                gone = np.isnan(window).all(axis=0)
                event.quality = QualityFacts(
                    filled_share=round(float(advance.filled_share[event.scored]), 4),
                    missing_sensors=tuple(np.array(self.sensor_names)[gone].tolist()),
                )
                event.then.evidence = evidence(
                    self.manifest.sensors, window[-1], said.expected[i], shares[i], self._settings.alarms.top_sensors
                )
        # In their order, since an incident may have several in one poll: each is told with what was known by then.
        told = {id(event) for event in explained}
        for event in events:
            if id(event) in told:
                event.live.evidence = event.then.evidence
            else:
                event.then.evidence = event.live.evidence

    def _watch_drift(self, advance: Advance, scores: Doubles, values: Floats, open_rows: Bools) -> list[DriftFinding]:
        if self.drift is None:
            return []
        # Among several assets the vote tells a fault of one from a drift of all; one alone has only its incidents.
        alone = len(self.assets) < 2
        chosen = ~np.isnan(scores) & ~(open_rows & alone)
        position = advance.scored[chosen]
        screened = advance.screened
        rows = values[screened.order[position]]
        return self.drift.advance(screened.slots[position], screened.times[position], scores[chosen], rows)

    def _alerts(self, events: list[Event]) -> list[Alert]:
        return [build(event, self._subject(event)) for event in events]

    def _subject(self, event: Event) -> Subject:
        threshold = self.rules.threshold if event.then.kind is AlertKind.PROCESS else 1.0
        return Subject(
            self.assets.names[event.slot], self._topic, self.assets.partitions[event.slot],
            self.manifest.model, self.manifest.model_version, threshold,
        )  # fmt: skip

    def _grow(self, capacity: int) -> None:
        more = capacity - len(self.next_offset)
        self.seen = np.concatenate([self.seen, np.full(more, np.inf)])
        self.next_offset = np.concatenate([self.next_offset, np.zeros(more, np.int64)])
        self.dirty = np.concatenate([self.dirty, np.zeros(more, bool)])
        for part in (self.windows, self.smoother, self.quality, self.drift):
            if part is not None:
                part.grow(capacity)


def process_rules(manifest: Manifest, settings: Settings) -> Rules:
    """The bundle's thresholds and delays, as far as the configuration does not overrule them."""
    alarms, timing, calibration = settings.alarms, manifest.timing, manifest.calibration
    return Rules(
        threshold=calibration.threshold,
        lower=calibration.lower_threshold,
        on_delay_s=timing.on_delay_s if alarms.on_delay_s is None else alarms.on_delay_s,
        off_delay_s=timing.off_delay_s if alarms.off_delay_s is None else alarms.off_delay_s,
        update_every_s=alarms.update_every_s,
        major_factor=alarms.major_factor,
        critical_factor=alarms.critical_factor,
    )
