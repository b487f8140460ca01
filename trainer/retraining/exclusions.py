"""Which spans of history a training leaves out: incidents, unless a person called them false."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from detector.transports.control import parse_control
from schemas.alert import Alert, AlertData, Condition
from schemas.config import Alarms
from schemas.control import IncidentMark, MarkKind, RetrainRequest, Trigger
from schemas.manifest import Manifest
from trainer.data.history import Span


@dataclass(frozen=True, slots=True)
class IncidentSpan:
    """One incident as its alerts describe it; times in seconds, the end is inf while it is open."""

    incident: str
    asset: str
    begin_s: float
    end_s: float
    sensor: str  # the strongest one; empty where none was named
    condition: Condition = Condition.ANOMALY


def incident_spans(alerts: Iterable[bytes]) -> dict[str, IncidentSpan]:
    """The incidents among alert messages, by id; other messages are passed over."""
    spans: dict[str, IncidentSpan] = {}
    for data in _alerts(alerts):
        sensor = data.sensors[0].sensor if data.sensors else ""
        end = float("inf") if data.end is None else data.end.timestamp()
        begin = data.start.timestamp()
        spans[data.incident] = IncidentSpan(data.incident, data.asset, begin, end, sensor, data.condition)
    return spans


def false_positives(control: Iterable[bytes]) -> set[str]:
    """Incidents whose last mark says that nothing was wrong."""
    marks: dict[str, MarkKind] = {}
    for value in control:
        message = parse_control(value)
        if isinstance(message, IncidentMark) and message.mark in (MarkKind.FALSE_POSITIVE, MarkKind.CONFIRMED):
            marks[message.incident] = message.mark
    return {incident for incident, mark in marks.items() if mark is MarkKind.FALSE_POSITIVE}


def left_out(
    spans: Collection[IncidentSpan],
    false: set[str],
    request: RetrainRequest,
    *,
    assets: int,
    drift_s: float,
    margin_s: float,
    noticed_s: Mapping[tuple[Condition, str], float] | None = None,
) -> dict[str, list[Span]]:
    """Spans to leave out, by asset, with a margin on both sides. assets: how many the model watches.

    Alarms that the drift itself raised stay in, or the new normal could never be learned. They began within the
    `drift_s` seconds before the request; and either half of the assets (two at least) are in alarm together when it is
    made, or the alarm's strongest sensor is one of those that have moved by the request. Alarms of data quality are of
    another kind: a dead sensor has moved too, and its rows are never learned. It was dead before it was noticed, for
    `noticed_s` seconds by condition and sensor.
    """
    noticed = noticed_s or {}
    at, moved = request.at.timestamp(), {figure.signal for figure in request.figures}
    process = [span for span in spans if span.condition is Condition.ANOMALY]
    recent = [span for span in process if at - drift_s <= span.begin_s <= at]
    together = {span.asset for span in recent if span.end_s > at}
    everywhere = request.trigger is Trigger.DRIFT and len(together) >= max(2, assets / 2)
    drift = {span.incident for span in recent if everywhere or span.sensor in moved}
    out: dict[str, list[Span]] = {}
    for span in spans:
        if span.incident not in false | drift:
            before_s = margin_s + noticed.get((span.condition, span.sensor), 0.0)
            out.setdefault(span.asset, []).append((span.begin_s - before_s, span.end_s + margin_s))
    return out


def noticed_after(alarms: Alarms, manifest: Manifest) -> dict[tuple[Condition, str], float]:
    """How long a sensor is bad before its alarm begins, seconds, by condition and sensor."""
    found: dict[tuple[Condition, str], float] = {}
    for sensor in manifest.sensors:
        found[Condition.STUCK, sensor.name] = (sensor.stuck_rows or 0) * manifest.period_s
        found[Condition.MISSING, sensor.name] = alarms.missing_rows * manifest.period_s
        found[Condition.OUT_OF_RANGE, sensor.name] = alarms.range_rows * manifest.period_s
    return found


def _alerts(values: Iterable[bytes]) -> Iterator[AlertData]:
    for value in values:
        try:
            yield Alert.model_validate_json(value).data
        except ValidationError:
            continue
