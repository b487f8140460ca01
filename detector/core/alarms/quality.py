"""Data-quality incidents: sensors that are stuck, missing or out of range, and assets that send nothing.

They open at once and close after an off-delay; silence closes with the next row. A sensor's run either reaches its
limit or it does not: how long it has lasted is no severity.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from detector.core.alarms.alerts import Event, short
from detector.core.alarms.closing import close
from detector.core.alarms.incidents import Incident, IncidentFactory, Phase, Rules, check, walk
from detector.core.arrays import Bools, Counts, Ints
from detector.core.arrivals import Screened
from detector.core.component import Columns
from detector.core.ingest.fields import LATEST_S
from detector.core.quality import CONDITIONS, QualityRuns
from detector.core.slots import SlotRows
from schemas.alert import AlertKind, AlertState, CloseReason, Condition, Evidence
from schemas.manifest import Sensor

Key = tuple[int, str, str]  # slot, condition, sensor; no sensor for silence
_BAD, _GOOD = 1.5, 0.0  # what the incident machine is given, at a threshold of 1


class QualityAlarms:
    """The data-quality incidents of many assets. rules: with a threshold of 1."""

    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sensors: tuple[Sensor, ...], rules: Rules, silent_after_s: float, make: IncidentFactory) -> None:
        self.rules, self.silent_after_s = rules, silent_after_s
        self.incidents: dict[Key, Incident] = {}
        self._sensors = sensors
        self._columns = {sensor.name: column for column, sensor in enumerate(sensors)}
        self._new_incident = make

    def grow(self, capacity: int) -> None:
        """Needs no room: most assets have no incident."""

    def forget(self, slots: Ints) -> None:
        """Drops the incidents of slots without a word."""
        for key in self._keys_of(slots.tolist()):
            del self.incidents[key]

    def adopt(self, old: "QualityAlarms") -> None:
        """Takes over all incidents; those of sensors that are gone end with the asset's next row."""
        self.incidents = old.incidents

    def dump(self, slots: Ints) -> Columns:
        """A list of incidents a slot."""
        found: dict[int, list[Incident]] = defaultdict(list)
        for key in self._keys_of(slots.tolist()):
            found[key[0]].append(self.incidents[key])
        return {"incidents": [found[slot] for slot in slots.tolist()]}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up the data-quality incidents among those of slots. Raises ValueError for an impossible one."""
        for slot, incidents in zip(slots.tolist(), columns["incidents"], strict=True):
            for incident in incidents:
                if incident.kind is AlertKind.QUALITY:
                    check(incident, LATEST_S)
                    self.incidents[slot, incident.condition.value, incident.sensor] = incident

    def returns(self, screened: Screened) -> list[Event]:
        """Silence ends with a row; one that began and ended unseen between two rows is opened and closed here."""
        rows, before = screened.kept_rows, screened.before
        gap = (rows.times - before > self.silent_after_s) & np.isfinite(before)
        silent = [key[0] for key in self.incidents if key[1] == Condition.SILENT]
        known = screened.first & np.isin(rows.slots, silent) if silent else np.zeros(len(rows), bool)
        events: list[Event] = []
        for row in np.flatnonzero(gap | known).tolist():
            slot = int(rows.slots[row])
            key = (slot, Condition.SILENT.value, "")
            if key not in self.incidents:
                events.append(self._fall_silent(slot, float(before[row]), int(screened.before_offset[row])))
            events.append(self._end(key, float(rows.times[row]), int(rows.offsets[row])))
        return events

    def fall_silent(self, slots: Iterable[int], newest_s: Iterable[float], last: Iterable[int]) -> list[Event]:
        """Opens an incident for each slot that has none. newest_s, last: time and offset of its newest row."""
        return [
            self._fall_silent(slot, newest, offset)
            for slot, newest, offset in zip(slots, newest_s, last, strict=True)
            if (slot, Condition.SILENT.value, "") not in self.incidents
        ]

    def judge(self, rows: SlotRows, found: QualityRuns) -> list[Event]:
        """Events of rows that are not late; found: what the monitor makes of them."""
        events = self._end_unknown(rows)
        for condition, runs, limits in zip(CONDITIONS, found.runs, found.limits, strict=True):
            bad = runs >= limits
            pairs = {(int(rows.slots[row]), int(column)) for row, column in zip(*np.nonzero(bad), strict=True)}
            for slot, name, sensor in self.incidents:
                if name == condition and sensor in self._columns:
                    pairs.add((slot, self._columns[sensor]))
            for slot, column in sorted(pairs):
                begin, end = np.searchsorted(rows.slots, [slot, slot + 1]).tolist()
                events += self._end_spared(rows, begin, end, condition, column, (runs, bad))
                for row in range(begin, end):
                    events += self._step(rows, row, slot, condition, column, bad=bool(bad[row, column]))
        return events

    def close(self, slots: Sequence[int], reason: CloseReason, at_s: Sequence[float]) -> list[Event]:
        """Closes the incidents of assets that are no longer judged. at_s: event times of the decision, one a slot."""
        at = dict(zip(slots, at_s, strict=True))
        return [
            event
            for key in self._keys_of(list(slots))
            for event in close(key[0], self.incidents.pop(key), reason, at[key[0]])
        ]

    def _keys_of(self, slots: list[int]) -> list[Key]:
        wanted = set(slots)
        return [key for key in self.incidents if key[0] in wanted]

    def _end_spared(
        self, rows: SlotRows, row: int, end: int, condition: Condition, column: int, marks: tuple[Counts, Bools]
    ) -> list[Event]:
        """Ends an incident whose run goes on below a limit that has grown: nothing got well. row: the poll's first."""
        if row == end:
            return []
        key = (int(rows.slots[row]), condition.value, self._sensors[column].name)
        incident, (runs, bad) = self.incidents.get(key), marks
        if incident is None or incident.phase is not Phase.OPEN or not runs[row, column] or bad[row, column]:
            return []
        reason = CloseReason.SUPERSEDED_MODEL if condition is Condition.STUCK else CloseReason.NO_LONGER_JUDGED
        return [self._end(key, float(rows.times[row]), int(rows.offsets[row]), reason)]

    def _step(
        self, rows: SlotRows, row: int, slot: int, condition: Condition, column: int, *, bad: bool
    ) -> list[Event]:
        """One row of one sensor's condition."""
        sensor, time = self._sensors[column], float(rows.times[row])

        def make(time: float, offset: int) -> Incident:
            incident = self._new_incident(slot, condition, sensor.name, time, offset)
            value = float(rows.values[row, column])
            observed = None if np.isnan(value) else short(value)
            incident.evidence = [
                Evidence(sensor=sensor.name, unit=sensor.unit, observed=observed, expected=None, contribution=1.0)
            ]
            return incident

        key = (slot, condition.value, sensor.name)
        level = _BAD if bad else _GOOD
        incident, state = walk(self.incidents.get(key), self.rules, time, int(rows.offsets[row]), level, make)
        if incident is not None:
            self.incidents[key] = incident
            if incident.is_over:
                del self.incidents[key]
        return [] if incident is None or state is None else [Event(state, slot, time, replace(incident), incident)]

    def _fall_silent(self, slot: int, newest_s: float, last_offset: int) -> Event:
        """The event is at the moment of the limit, not at the moment it was noticed: a replay gives the same."""
        incident = self._new_incident(slot, Condition.SILENT, "", newest_s, last_offset)
        incident.phase, incident.score, incident.peak, incident.ratio = Phase.OPEN, 1.0, 1.0, 1.0
        incident.told_s = newest_s + self.silent_after_s
        self.incidents[slot, Condition.SILENT.value, ""] = incident
        return Event(AlertState.OPENED, slot, incident.told_s, replace(incident), incident)

    def _end_unknown(self, rows: SlotRows) -> list[Event]:
        """Ends incidents of sensors that this version of the model does not have: no row could close them any more."""
        gone = [key for key in self.incidents if key[2] not in self._columns and key[2]]
        first = np.searchsorted(rows.slots, [key[0] for key in gone]).tolist()
        return [
            self._end(key, float(rows.times[row]), int(rows.offsets[row]), CloseReason.SUPERSEDED_MODEL)
            for key, row in zip(gone, first, strict=True)
            if row < len(rows) and rows.slots[row] == key[0]
        ]

    def _end(self, key: Key, time: float, offset: int, reason: CloseReason = CloseReason.RECOVERED) -> Event:
        """Ends an incident at a row, without an off-delay."""
        incident = self.incidents.pop(key)
        incident.end(time, offset)
        return Event(AlertState.CLOSED, key[0], time, replace(incident), incident, reason=reason)
