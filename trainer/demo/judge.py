"""Did the promised story happen? Figures from alerts and scores against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from schemas.alert import Alert, AlertKind, AlertState
from trainer.demo.follow import ScoreLog
from trainer.simulate.faults import FaultKind, TrueFault, Truth
from trainer.simulate.scenario import Chapter

WEEK_S = 7 * 86400.0
FALSE_ALARMS_AIM = 1.0  # an asset and week
TOP = 3
# An alarm on what a fault leaves behind (warm bearings, a refilling window) belongs to it.
AFTERMATH = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """One incident as its alerts describe it."""

    id: str
    asset: str
    kind: AlertKind
    condition: str
    start: datetime
    opened: datetime
    end: datetime | None
    severity: str
    sensors: tuple[str, ...]  # of the opening alert, strongest first


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """What became of one injected fault."""

    fault: TrueFault
    incidents: tuple[IncidentRecord, ...]  # on its asset in its time, whatever their condition

    @property
    def once(self) -> bool:
        """Alarmed exactly once, under the right condition."""
        return len(self.incidents) == 1 and self.incidents[0].condition == self.fault.condition

    @property
    def named(self) -> bool:
        """A sensor that shows the fault is among the first ones that it names; silence has no sensor."""
        if not self.fault.sensors:
            return True
        return bool(self.incidents) and bool(set(self.fault.sensors) & set(self.incidents[0].sensors[:TOP]))

    @property
    def delay(self) -> timedelta | None:
        """From the fault's start to its alarm."""
        return self.incidents[0].opened - self.fault.start if self.incidents else None


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """How much alarm there was in a span."""

    alarms: int  # process incidents opened
    per_asset_week: float
    share_above: float  # of the scores, above the threshold


@dataclass(frozen=True, slots=True)
class StoryVerdict:
    """The story's figures, and what was promised but did not happen."""

    outcomes: tuple[FaultOutcome, ...]
    clean: AlarmRate
    drifting: AlarmRate  # from the start of the warming to the last swap
    renewed: AlarmRate  # from the last swap to the end
    requests: int
    swaps: tuple[datetime, ...]  # event time of the first score of each later version
    records: int
    scored_records: int
    unscored: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Everything that was promised happened."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Observations:
    """What the judgement rests on."""

    truth: Truth
    clean: Chapter
    drift: Chapter
    alerts: Sequence[Alert]
    scores: ScoreLog
    requests: int
    records: int  # that were fed
    same_process: bool  # the daemon that ends is the daemon that began


def incidents(alerts: Sequence[Alert]) -> list[IncidentRecord]:
    """Alerts put together by incident, in order of their opening."""
    ends = {a.data.incident: a.data.end for a in alerts if a.data.state is AlertState.CLOSED}
    severity = {a.data.incident: a.data.severity.value for a in alerts}
    first = {a.data.incident: a for a in reversed(alerts) if a.data.state is AlertState.OPENED}
    found = [
        IncidentRecord(
            id=name, asset=a.data.asset, kind=a.data.kind, condition=a.data.condition.value, start=a.data.start,
            opened=a.time, end=ends.get(name), severity=severity[name], sensors=tuple(e.sensor for e in a.data.sensors),
        )
        for name, a in first.items()
    ]  # fmt: skip
    return sorted(found, key=lambda incident: (incident.opened, incident.asset))


def judge(observed: Observations) -> StoryVerdict:
    """The verdict on a story that came to its end."""
    truth, scores = observed.truth, observed.scores
    found = incidents(observed.alerts)
    begin = truth.start
    clean = (begin + timedelta(days=observed.clean.start), begin + timedelta(days=observed.clean.end))
    drift = (begin + timedelta(days=observed.drift.start), begin + timedelta(days=observed.drift.end))
    swaps = tuple(sorted(datetime.fromtimestamp(at, begin.tzinfo) for at in scores.swapped.values())[1:])
    turn = swaps[-1] if swaps else drift[1]
    verdict = StoryVerdict(
        outcomes=tuple(_outcome(fault, found) for fault in truth.faults if fault.kind is not FaultKind.WARMING),
        clean=_rate(found, scores, truth.assets, *clean),
        drifting=_rate(found, scores, truth.assets, drift[0], turn),
        renewed=_rate(found, scores, truth.assets, turn, drift[1]),
        requests=observed.requests,
        swaps=swaps,
        records=observed.records,
        scored_records=len(scores.seen),
        unscored=scores.unscored,
        failures=(),
    )
    return _with_failures(verdict, observed.same_process)


def _outcome(fault: TrueFault, found: Sequence[IncidentRecord]) -> FaultOutcome:
    inside = (i for i in found if i.asset == fault.asset and fault.start <= i.opened <= fault.end + AFTERMATH)
    return FaultOutcome(fault, tuple(inside))


def _rate(
    found: Sequence[IncidentRecord], scores: ScoreLog, assets: Sequence[str], begin: datetime, end: datetime
) -> AlarmRate:
    alarms = sum(begin <= i.opened < end and i.kind is AlertKind.PROCESS for i in found)
    weeks = len(assets) * (end - begin).total_seconds() / WEEK_S
    ratios = []
    for asset in assets:
        times, ratio = scores.course(asset)
        ratios.append(ratio[(times >= begin.timestamp()) & (times < end.timestamp())])
    known = np.concatenate(ratios)
    known = known[np.isfinite(known)]
    return AlarmRate(
        alarms=alarms,
        per_asset_week=round(alarms / weeks, 3) if weeks > 0 else 0.0,
        share_above=round(float((known > 1.0).mean()), 5) if len(known) else 0.0,
    )


def _with_failures(verdict: StoryVerdict, same_process: bool) -> StoryVerdict:
    failures = [_fault_line(outcome) for outcome in verdict.outcomes if not (outcome.once and outcome.named)]
    if verdict.clean.per_asset_week > FALSE_ALARMS_AIM:
        failures.append(f"{verdict.clean.per_asset_week:.2f} false alarms per asset and week on the clean fortnight")
    if not verdict.requests:
        failures.append("the drift raised no retrain request")
    if not verdict.swaps:
        failures.append("no new model was taken up")
    elif (
        verdict.renewed.per_asset_week > FALSE_ALARMS_AIM or verdict.renewed.share_above >= verdict.drifting.share_above
    ):
        failures.append(f"the alarm rate did not come back: {verdict.renewed.per_asset_week:.2f} per asset and week")
    if not same_process:
        failures.append("the daemon did not live through the story")
    if verdict.unscored or verdict.scored_records != verdict.records:
        missing = verdict.records - verdict.scored_records + verdict.unscored
        failures.append(f"{missing} of {verdict.records} records were not scored")
    return replace(verdict, failures=tuple(failures))


def _fault_line(outcome: FaultOutcome) -> str:
    fault = outcome.fault
    if not outcome.incidents:
        return f"the {fault.kind} of {fault.asset} raised no alarm"
    if not outcome.once:
        conditions = ", ".join(incident.condition for incident in outcome.incidents)
        return f"the {fault.kind} of {fault.asset} raised {len(outcome.incidents)} alarm(s): {conditions}"
    return f"the alarm on the {fault.kind} of {fault.asset} names {', '.join(outcome.incidents[0].sensors[:TOP])}"
