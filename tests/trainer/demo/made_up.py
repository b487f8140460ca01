"""A story with made-up alerts and scores, for judging and drawing without running anything."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from schemas.alert import Alert, Condition
from trainer.demo.follow import ScoreLog
from trainer.demo.judge import Observations
from trainer.demo.setup import DemoSetup
from trainer.simulate.plant import Simulation, truth
from trainer.simulate.scenario import STORY_DAYS, Scenario

START = datetime(2026, 1, 5, tzinfo=UTC)
PERIOD_S = 600.0
SWAP_AFTER_DAYS = 5.0  # of the drift chapter


@dataclass(frozen=True, slots=True)
class Happening:
    """An incident to make up."""

    asset: str
    condition: Condition
    opened: datetime
    closed: datetime | None
    sensors: tuple[str, ...] = ()


def make_setup(directory: Path) -> DemoSetup:
    """A setup of the whole story; nothing is written."""
    plant = Simulation(scenario=Scenario.STORY, days=STORY_DAYS, period_s=PERIOD_S, seed=7, start=START)
    return DemoSetup(directory, plant, None)


def as_promised(setup: DemoSetup) -> list[Happening]:
    """One incident a fault, half an hour after its start."""
    return [
        Happening(
            fault.asset or "", fault.condition or Condition.ANOMALY, fault.start + timedelta(minutes=30), fault.end,
            ("speed", *fault.sensors),
        )
        for fault in truth(setup.simulation).faults
        if fault.condition is not None
    ]  # fmt: skip


def make_alerts(happenings: list[Happening]) -> list[Alert]:
    """Opened and closed alerts."""
    alerts = []
    for number, what in enumerate(happenings):
        alerts.append(_alert(number, what, what.opened, "opened", 0))
        if what.closed is not None:
            alerts.append(_alert(number, what, what.closed, "closed", 1))
    return alerts


def make_scores(setup: DemoSetup) -> ScoreLog:
    """Scores of every record, high while the air is warm and the model is the first one."""
    log, rng = ScoreLog(), np.random.default_rng(1)
    first, last = setup.chapter("clean").start * 86400.0, setup.simulation.days * 86400.0
    times = START.timestamp() + np.arange(first, last, PERIOD_S)
    warm, swap = (START.timestamp() + 86400.0 * day for day in _turn(setup))
    for number, asset in enumerate(setup.simulation.names):
        level = np.where((times > warm) & (times < swap), 1.6, 0.5)
        log.times[asset] = times.tolist()
        log.ratios[asset] = (level * rng.gamma(30.0, 1 / 30.0, len(times))).tolist()
        log.seen |= {(number, row) for row in range(len(times))}
    log.swapped = {"v1": times[0], "v2": swap}
    return log


def make_observations(setup: DemoSetup, happenings: list[Happening]) -> Observations:
    """A story in which everything but `happenings` went as promised."""
    scores = make_scores(setup)
    return Observations(
        truth=truth(setup.simulation),
        clean=setup.chapter("clean"),
        drift=setup.chapter("drift"),
        alerts=make_alerts(happenings),
        scores=scores,
        requests=1,
        records=len(scores.seen),
        same_process=True,
    )


def without_swap(observed: Observations) -> Observations:
    """The same story, but no model was taken up."""
    observed.scores.swapped.pop("v2")
    return replace(observed, scores=observed.scores)


def _turn(setup: DemoSetup) -> tuple[float, float]:
    begin = setup.chapter("drift").start
    return begin, begin + SWAP_AFTER_DAYS


def _alert(number: int, what: Happening, at: datetime, state: str, sequence: int) -> Alert:
    quality = what.condition is not Condition.ANOMALY
    sensors = [
        {"sensor": name, "unit": "bar", "observed": 7.123, "expected": 3.2, "contribution": 0.3}
        for name in what.sensors
    ]
    return Alert.model_validate(
        {
            "id": f"i{number}.{sequence}", "source": "/watchkeeper/pumps", "type": f"watchkeeper.alert.{state}",
            "subject": what.asset, "time": at,
            "data": {
                "incident": f"i{number}", "sequence": sequence, "state": state,
                "kind": "quality" if quality else "process", "condition": what.condition, "severity": "warning",
                "asset": what.asset, "start": what.opened - timedelta(minutes=5),
                "end": at if state == "closed" else None, "duration_s": (at - what.opened).total_seconds(),
                "score": 2.0, "peak_score": 2.0, "threshold": 1.0, "sensors": sensors,
                "quality": {"filled_share": 0.0},
                "origin": {"topic": "sensors", "partition": 0, "first_offset": 1, "last_offset": 2},
                "model": "pumps", "model_version": "v1", "message": "made up",
            },
        }
    )  # fmt: skip
