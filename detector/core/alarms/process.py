"""Process incidents: what the scores of an asset's windows begin, keep open and close."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np

from detector.core.alarms.alerts import Event
from detector.core.alarms.closing import close
from detector.core.alarms.incidents import Incident, IncidentFactory, Rules, check, walk
from detector.core.arrays import Bools, Doubles, Ints
from detector.core.component import Columns
from detector.core.ingest.fields import LATEST_S
from detector.core.slots import SlotRows
from schemas.alert import AlertKind, CloseReason, Condition
from schemas.config import Alarms
from schemas.manifest import Manifest


class ProcessAlarms:
    """The process incidents of many assets, one an asset at most; pending ones among them."""

    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, rules: Rules, make: IncidentFactory) -> None:
        self.rules = rules
        self.incidents: dict[int, Incident] = {}  # slot -> incident
        self._new_incident = make

    def grow(self, capacity: int) -> None:
        """Needs no room: most assets have no incident."""

    def forget(self, slots: Ints) -> None:
        """Drops the incidents of slots without a word."""
        for slot in slots.tolist():
            self.incidents.pop(slot, None)

    def adopt(self, old: "ProcessAlarms") -> None:
        """Takes over all incidents: another version of the model ends none."""
        self.incidents = old.incidents

    def dump(self, slots: Ints) -> Columns:
        """A list of incidents a slot."""
        return {"incidents": [[self.incidents[s]] if s in self.incidents else [] for s in slots.tolist()]}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up the process incidents among those of slots. Raises ValueError for an impossible one."""
        for slot, incidents in zip(slots.tolist(), columns["incidents"], strict=True):
            for incident in incidents:
                if incident.kind is AlertKind.PROCESS:
                    check(incident, LATEST_S)
                    self.incidents[slot] = incident

    def close(self, slots: Sequence[int], reason: CloseReason, at_s: Sequence[float]) -> list[Event]:
        """Closes what is open of assets that are no longer judged. at_s: event times of the decision, one a slot."""
        return [
            event
            for slot, at in zip(slots, at_s, strict=True)
            if slot in self.incidents
            for event in close(slot, self.incidents.pop(slot), reason, at)
        ]

    def judge(self, rows: SlotRows, scored: Ints, scores: Doubles, reset_before: Bools) -> tuple[list[Event], Bools]:
        """Events of scored rows, and the rows of open incidents (scored,).

        scored: (scored,) positions among the rows; scores: (scored,), NaN where there is none, higher is more
        anomalous; reset_before: (scored,). Only slots with an incident or a score above the threshold are walked.
        """
        slots = rows.slots[scored]
        open_rows = np.zeros(len(slots), bool)
        events: list[Event] = []
        active = set(slots[scores > self.rules.threshold].tolist()) | self.incidents.keys()
        if not active:
            return events, open_rows
        for row in np.flatnonzero(np.isin(slots, list(active))).tolist():
            slot, position, score = int(slots[row]), int(scored[row]), float(scores[row])
            time, offset = float(rows.times[position]), int(rows.offsets[position])
            incident, state = walk(
                self.incidents.pop(slot, None), self.rules, time, offset, score,
                partial(self._new_incident, slot, Condition.ANOMALY, ""), broken=bool(reset_before[row]),
            )  # fmt: skip
            if incident is None:
                continue
            open_rows[row] = incident.is_open or state is not None
            if state is not None:
                events.append(Event(state, slot, time, replace(incident), incident, row))
            if not incident.is_over:
                self.incidents[slot] = incident
        return events, open_rows


def process_rules(manifest: Manifest, alarms: Alarms) -> Rules:
    """The bundle's thresholds and delays, as far as the configuration does not overrule them."""
    timing, calibration = manifest.timing, manifest.calibration
    return Rules(
        threshold=calibration.threshold,
        lower=calibration.lower_threshold,
        on_delay_s=timing.on_delay_s if alarms.on_delay_s is None else alarms.on_delay_s,
        off_delay_s=timing.off_delay_s if alarms.off_delay_s is None else alarms.off_delay_s,
        update_every_s=alarms.update_every_s,
        major_factor=alarms.major_factor,
        critical_factor=alarms.critical_factor,
        score_holds_s=2 * manifest.stride * manifest.period_s,
    )
