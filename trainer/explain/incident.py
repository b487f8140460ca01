"""One incident close up: the rows around it as measured and as reconstructed, and the sensors' contributions."""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Doubles, Floats
from schemas.alert import AlertState
from trainer.explain.view import View
from trainer.replay.splits import thinned

MAX_WINDOWS = 800  # shown


@dataclass(frozen=True, slots=True)
class Share:
    """One sensor's part of the score; where nothing alarmed, of the network's residual."""

    sensor: str
    unit: str
    contribution: float  # signed: above 0 it was higher than expected; absolute values sum to 1 at most


@dataclass(frozen=True, slots=True)
class Episode:
    """The incident of the highest score, or the highest score where nothing alarmed."""

    incident: str | None  # its id; None where nothing alarmed
    asset: str
    begin_s: float
    end_s: float  # of the data, where it is still open there
    peak: float
    shares: list[Share]  # strongest first
    times: Doubles  # (row,) with some rows before and after
    scores: Doubles  # (row,)
    observed: Floats  # (row, sensor) engineering units
    reconstruction: Floats  # (row, sensor) the last row of each window, engineering units


def worst_episode(view: View) -> Episode:
    """What to look at first."""
    if not view.alerts:
        return _strangest(view)
    worst = max(view.alerts, key=lambda alert: (alert.data.peak_score, alert.data.score)).data
    reported = [alert for alert in view.alerts if alert.data.incident == worst.incident]
    data = max((alert for alert in reported if alert.data.sensors), key=lambda alert: alert.data.score).data
    owner = next(number for number, asset in enumerate(view.history.assets) if asset.name == data.asset)
    closed = [alert.time.timestamp() for alert in reported if alert.data.state is AlertState.CLOSED]
    begin, end = data.start.timestamp(), closed[0] if closed else float(view.history.assets[owner].times[-1])
    shares = [Share(one.sensor, one.unit, one.contribution) for one in data.sensors]
    return _cut(view, owner, (begin, end), worst.incident, worst.peak_score, shares)


def _strangest(view: View) -> Episode:
    scores = np.nan_to_num(view.scores[view.replay.rows])
    number = int(scores.argmax())
    errors = view.scorer.sensor_error(view.replay.windows(np.array([number])))[0].astype(np.float64)
    weight = errors**2 * np.sign(errors)
    total = float(np.abs(weight).sum()) or 1.0
    order = np.argsort(-np.abs(weight))
    sensors = view.scorer.manifest.sensors
    shares = [Share(sensors[i].name, sensors[i].unit, float(weight[i]) / total) for i in order]
    moment = float(view.replay.times[number])
    return _cut(view, int(view.replay.slots[number]), (moment, moment), None, float(scores[number]), shares)


def _cut(
    view: View, owner: int, span: tuple[float, float], incident: str | None, peak: float, shares: list[Share]
) -> Episode:
    manifest = view.scorer.manifest
    margin = max(span[1] - span[0], 5 * manifest.window * manifest.period_s)
    times = view.replay.times
    near = (view.replay.slots == owner) & (times >= span[0] - margin) & (times <= span[1] + margin)
    chosen = thinned(np.flatnonzero(near), MAX_WINDOWS)
    windows = view.replay.windows(chosen)
    return Episode(
        incident=incident,
        asset=view.history.assets[owner].name,
        begin_s=span[0],
        end_s=span[1],
        peak=peak,
        shares=shares,
        times=times[chosen],
        scores=view.scores[view.replay.rows[chosen]],
        observed=windows[:, -1],
        reconstruction=view.scorer.reconstruct(windows)[0][:, -1],
    )
