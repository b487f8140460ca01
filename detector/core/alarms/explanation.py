"""Why an alarm is raised: what the graph expected, and the sensors that account for the score."""

from collections.abc import Sequence

import numpy as np

from detector.core.alarms.alerts import Event, evidence
from detector.core.arrays import Doubles
from detector.core.scoring import Scorer, ScoreSmoother
from detector.core.windows import Advance
from schemas.alert import AlertState, Quality


def explain(
    events: Sequence[Event],
    advance: Advance,
    vectors: Doubles,
    scorer: Scorer,
    smoother: ScoreSmoother,
    *,
    top_sensors: int,
    batch: int,
) -> None:
    """Gives events their evidence. vectors: (scored, column) as the smoother gave them; batch: windows in one call.

    A process incident that opens or goes on is explained by its row; a closed one keeps what was known before.
    """
    shown = [event for event in events if event.scored >= 0 and event.state is not AlertState.CLOSED]
    for begin in range(0, len(shown), batch):
        _explain(shown[begin : begin + batch], advance, vectors, scorer, smoother, top_sensors)
    # In their order, since an incident may have several in one poll: each is sent with what was known by then.
    explained = {id(event) for event in shown}
    for event in events:
        if id(event) in explained:
            event.live.evidence = event.then.evidence
        else:
            event.then.evidence = event.live.evidence


def _explain(
    events: Sequence[Event],
    advance: Advance,
    vectors: Doubles,
    scorer: Scorer,
    smoother: ScoreSmoother,
    top_sensors: int,
) -> None:
    sensors = scorer.manifest.sensors
    windows = np.concatenate([advance.windows(event.scored, event.scored + 1) for event in events])
    explanation = scorer.explain(windows)
    errors = explanation.sensor_error.astype(np.float64)
    shares = smoother.contributions(vectors[[event.scored for event in events]], errors)
    for i, event in enumerate(events):
        missing = np.isnan(windows[i]).all(axis=0)
        event.quality = Quality(
            filled_share=round(float(advance.filled_share[event.scored]), 4),
            missing_sensors=tuple(sensor.name for sensor, gone in zip(sensors, missing.tolist(), strict=True) if gone),
        )
        event.then.evidence = evidence(sensors, windows[i][-1], explanation.expected[i], shares[i], top_sensors)
