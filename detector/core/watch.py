"""The whole way of a record, in one function without I/O: `Watch.process(records, now) -> Outcome`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from detector.core.drift import Finding
from detector.core.ingest.assemble import Assembled, Assembler
from detector.core.ingest.json import Decoded, Decoder, Rejected
from detector.core.ingest.rows import Record, Rows
from detector.core.pipeline import Lane, Scored
from detector.core.requests import drift_request
from detector.core.scoring import Scorer
from detector.core.state.codec import bucket_of
from schemas.alert import Alert
from schemas.config import ScoresOut, Settings, WatchRule
from schemas.control import RetrainRequest
from schemas.feed import Reason, RowFlag

UNWATCHED, OVER_LIMIT, NEW = -1, -2, -3
_LANE_SHIFT = 32  # a place is lane << 32 | slot
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
    offsets: NDArray[np.int64]  # (row,)
    times: NDArray[np.float64]  # (row,) event time, seconds
    scores: NDArray[np.float64]  # (row,)
    flags: NDArray[np.int64]  # (row,) bits of RowFlag


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
    """The state of everything watched. One topic; the assets of its partitions; one lane a model.

    by_feed: silence is measured against the feed's newest event time instead of `now`.
    """

    def __init__(self, settings: Settings, scorers: Mapping[str, Scorer], *, by_feed: bool, topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.unwatched: Counter[str] = Counter()
        self._by_feed = by_feed
        self._places: dict[tuple[int, str], int] = {}
        # partition -> bucket -> offset that its newest checkpoint stands for: what lies below is in it already
        self.stands: dict[int, dict[int, int]] = {}
        self.thinned: set[tuple[int, int]] = set()  # partition and bucket of assets forgotten since the checkpoint
        self._feed_clock = -np.inf
        self._silence_checked = -np.inf
        self.lanes = {name: Lane(scorer, settings, topic) for name, scorer in scorers.items()}
        self._order = list(self.lanes)
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
        places = self._locate(rows, clock)
        for number, name in enumerate(self._order):
            chosen = np.flatnonzero((places >= 0) & (places >> _LANE_SHIFT == number))
            self._advance(self.lanes[name], rows, chosen, places[chosen] & 0xFFFFFFFF, clock, outcome)
        self._note_unwatched(rows, places, outcome)
        outcome.alerts += self._silence(clock)
        outcome.alerts.sort(key=lambda a: (a.time, a.subject, a.id))
        return outcome

    def swap(self, scorer: Scorer) -> None:
        """Takes up another version of a model between polls. Raises KeyError for a model that no rule names."""
        self.lanes[scorer.manifest.model].swap(scorer)
        self._fit_feed()

    def configure(self, settings: Settings) -> None:
        """Takes up new alarm, drift, scores and watch settings; state stays. Feed and models are as they were."""
        rules_changed = settings.watch != self.settings.watch
        self.settings = settings
        for lane in self.lanes.values():
            lane.configure(settings)
        if rules_changed:
            self._places = {key: place for key, place in self._places.items() if self._still(key, place)}

    def release(self, partition: int) -> None:
        """Forgets a partition: another member of the group has it now."""
        for lane in self.lanes.values():
            lane.release(partition)
        self._places = {key: place for key, place in self._places.items() if key[0] != partition}
        self.stands.pop(partition, None)
        self.thinned = {place for place in self.thinned if place[0] != partition}
        if self.assembler is not None:
            self.assembler.pending.pop(partition, None)

    def changed(self, partition: int) -> bool:
        """Whether a partition's state is newer than its checkpoint, be it without new records: silence."""
        if any(place[0] == partition for place in self.thinned):
            return True
        return any(lane.is_dirty(partition) for lane in self.lanes.values())

    def adopt(self, partition: int, asset: str, model: str) -> Lane | None:
        """The lane of an asset that a checkpoint brings back; None where no rule gives it to that model any more."""
        place = self._place((partition, asset), np.inf)
        if place < 0 or self._order[place >> _LANE_SHIFT] != model:
            return None
        return self.lanes[model]

    def finish(self, now: float) -> Outcome:
        """Rows of long records that still wait at the end of a file."""
        if self.assembler is None:
            return Outcome()
        return self.process_rows(self.assembler.flush(self.topic), now)

    def _advance(
        self,
        lane: Lane,
        rows: Rows,
        chosen: NDArray[np.int64],
        slots: NDArray[np.int64],
        clock: float,
        outcome: Outcome,
    ) -> None:
        offsets = rows.offsets[chosen]
        applied = offsets < lane.next_offset[slots]  # a replay up to the checkpoint: in the state already
        if applied.any():
            chosen, slots, offsets = chosen[~applied], slots[~applied], offsets[~applied]
        if not len(chosen):
            return
        columns = self._columns(lane, rows.sensors)
        values = rows.values[chosen] if columns is None else rows.values[np.ix_(chosen, columns)]
        result = lane.advance(slots, offsets, rows.times[chosen], values, clock)
        outcome.alerts += result.alerts
        outcome.requests += [self._request(lane, finding) for finding in result.findings]
        outcome.scored += int(np.count_nonzero(~np.isnan(result.scored.scores)))
        outcome.flags += _count_flags(result.scored.flags)
        if self.settings.scores.emit != "none":
            outcome.scores += _blocks(lane, rows, chosen, result.scored, self.settings.scores)

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
            by_place = {(r.partition, r.offset): r for r in records}
            rejected += [
                Rejected(by_place[partition, offset], Reason.UNKNOWN_SENSOR, "no model has the record's sensor")
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

    def _locate(self, rows: Rows, clock: float) -> NDArray[np.int64]:
        """The place of each row's asset: lane and slot in one number, or a negative reason."""
        keys = zip(rows.partitions.tolist(), rows.assets, strict=True)
        found = np.fromiter(map(self._places.get, keys, repeat(NEW)), np.int64, len(rows))
        for row in np.flatnonzero(found == NEW).tolist():
            found[row] = self._place((int(rows.partitions[row]), rows.assets[row]), clock)
        return found

    def _place(self, key: tuple[int, str], clock: float) -> int:
        if key in self._places:
            return self._places[key]
        model = match(self.settings.watch, key[1])
        if model is None or model not in self.lanes:
            return UNWATCHED
        if len(self._places) >= self.settings.limits.max_assets:
            return OVER_LIMIT
        lane = self.lanes[model]
        slot = lane.slot(*key)
        lane.seen[slot] = clock
        lane.next_offset[slot] = self.stands.get(key[0], {}).get(bucket_of(key[1]), 0)
        self._places[key] = place = self._order.index(model) << _LANE_SHIFT | slot
        return place

    def _still(self, key: tuple[int, str], place: int) -> bool:
        name = self._order[place >> _LANE_SHIFT]
        if match(self.settings.watch, key[1]) == name:
            return True
        slot = place & 0xFFFFFFFF
        self.lanes[name].forget(slot)
        self.lanes[name].assets.release(slot)
        return False

    def _note_unwatched(self, rows: Rows, places: NDArray[np.int64], outcome: Outcome) -> None:
        for reason, flag in ((UNWATCHED, RowFlag.UNWATCHED), (OVER_LIMIT, RowFlag.OVER_LIMIT)):
            chosen = np.flatnonzero(places == reason).tolist()
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
        alerts = [alert for lane in self.lanes.values() for alert in lane.silence(clock, by_feed=self._by_feed)]
        for lane in self.lanes.values():
            alerts += self._forget_idle(lane, clock)
        return alerts

    def _forget_idle(self, lane: Lane, clock: float) -> list[Alert]:
        """Assets that went away make room. Their data-quality alarms close; one with an open alarm stays."""
        idle = lane.idle(clock, by_feed=self._by_feed)
        alerts = lane.close_quality(idle)
        for slot in idle:
            key = lane.assets.partitions[slot], lane.assets.names[slot]
            self.thinned.add((key[0], bucket_of(key[1])))
            self._places.pop(key, None)
            lane.forget(slot)
            lane.assets.release(slot)
        return alerts

    def _request(self, lane: Lane, finding: Finding) -> RetrainRequest:
        return drift_request(lane.manifest, finding)

    def _columns(self, lane: Lane, sensors: tuple[str, ...]) -> NDArray[np.int64] | None:
        """Where the lane's sensors stand among the rows' columns; None where they are the same."""
        if sensors == lane.sensor_names:
            return None
        return np.array([sensors.index(name) for name in lane.sensor_names])

    def _fit_feed(self) -> None:
        """Decoding follows the sensors of all models; long rows follow the shortest period."""
        lanes = self.lanes.values()
        self._sensors = tuple(dict.fromkeys(name for lane in lanes for name in lane.sensor_names))
        self._decoder = Decoder(self.settings.feed, self._sensors)
        feed, old = self.settings.feed, self.assembler
        self.assembler = None
        if feed.form == "long":
            period = min((lane.manifest.period_s for lane in lanes), default=1.0)
            self.assembler = Assembler(self._sensors, period, feed.lateness_s)
            if old is not None and old.same_rows(self.assembler):
                self.assembler.pending = old.pending


def match(rules: Iterable[WatchRule], asset: str) -> str | None:
    """The model of the first rule whose glob fits the asset."""
    for rule in rules:
        if any(fnmatchcase(asset, glob) for glob in rule.assets):
            return rule.model
    return None


def _count_flags(flags: NDArray[np.int64]) -> Counter[RowFlag]:
    if not flags.any():
        return Counter()
    return Counter({flag: int(np.count_nonzero(flags & flag)) for flag in RowFlag})


def _blocks(lane: Lane, rows: Rows, chosen: NDArray[np.int64], scored: Scored, emit: ScoresOut) -> list[ScoreBlock]:
    """Packs a lane's rows, one block an asset."""
    source = chosen[scored.order]
    keep = np.ones(len(source), bool)
    if emit.emit == "every_nth":
        keep = rows.offsets[source] % emit.nth == 0
    elif emit.emit == "above":
        keep = scored.scores > emit.fraction * lane.rules.threshold
    source, slots, scores, flags = source[keep], scored.slots[keep], scored.scores[keep], scored.flags[keep]
    if not len(source):
        return []
    cuts = np.flatnonzero(slots[1:] != slots[:-1]) + 1
    begins, ends = np.r_[0, cuts].tolist(), np.r_[cuts, len(slots)].tolist()
    return [
        ScoreBlock(
            lane.assets.names[slots[b]], lane.manifest.model, lane.manifest.model_version, rows.topic,
            lane.assets.partitions[slots[b]], lane.rules.threshold, rows.offsets[source[b:e]], rows.times[source[b:e]],
            scores[b:e], flags[b:e],
        )
        for b, e in zip(begins, ends, strict=True)
    ]  # fmt: skip


def _bare_block(rows: Rows, row: int, flag: RowFlag) -> ScoreBlock:
    return ScoreBlock(
        rows.assets[row], None, None, rows.topic, int(rows.partitions[row]), None, rows.offsets[row : row + 1],
        rows.times[row : row + 1], np.array([np.nan]), np.array([int(flag)]),
    )  # fmt: skip
