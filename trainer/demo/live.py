"""What a person sees while the story goes on: alarms, requests and models as lines, in plant time."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.alert import Alert, AlertData, AlertState, Condition
from schemas.config import Settings
from schemas.control import CONTROL, ModelPublished, ModelRejected, RetrainRequest
from trainer.demo.follow import Follower, ScoreLog

STATUS_EVERY_S = 4.0  # clock time between lines that only say that all is well ...
STATUS_EVERY = timedelta(hours=12)  # ... and plant time
SENSORS_SHOWN = 2


class LiveView:
    """Collects what the daemon and the worker write, and shows it as it comes.

    pid: of the daemon; show_alerts: False where `watchkeeper alerts --follow` shows them.
    """

    def __init__(self, settings: Settings, start: datetime, pid: int, *, show_alerts: bool) -> None:
        self.scores = ScoreLog()
        self.alerts: OrderedDict[str, Alert] = OrderedDict()  # by id: delivery is at least once
        self.requests: dict[str, RetrainRequest] = {}
        self.published: dict[str, ModelPublished] = {}  # by version
        self.rejected: dict[str, ModelRejected] = {}
        self._start = start
        self._pid = pid
        self._show_alerts = show_alerts
        self._severity: dict[str, str] = {}
        self._shown_versions: set[str] = set()
        self._spoken = time.monotonic()
        self._status_at = start
        topics = settings.topics
        self._sources = (
            (Follower(settings, topics.alerts), self._alert),
            (Follower(settings, topics.control), self._control),
            (Follower(settings, topics.scores), self.scores.add),
        )

    @property
    def open_alarms(self) -> int:
        """Incidents that opened and have not closed."""
        state = {a.data.incident: a.data.state for a in self.alerts.values()}
        return sum(s is not AlertState.CLOSED for s in state.values())

    @property
    def newest(self) -> datetime:
        """Plant time of the newest score; the start of the story before the first one."""
        times = [times[-1] for times in self.scores.times.values()]
        return datetime.fromtimestamp(max(times), UTC) if times else self._start

    @property
    def versions(self) -> int:
        """How many versions of the model have scored so far."""
        return len(self.scores.swapped)

    def look(self) -> None:
        """Shows what came since the last look. Blocks no longer than that takes."""
        for follower, take in self._sources:
            for message in follower.take():
                take(message)
        self._swaps()
        if time.monotonic() - self._spoken > STATUS_EVERY_S and self.scores.seen:
            self._status()

    def say(self, text: str) -> None:
        """Prints a line at once."""
        self._spoken = time.monotonic()
        print(text, flush=True)

    def note(self, when: datetime, text: str) -> None:
        """Prints a line with the plant's time."""
        self.say(f"  {day(when, self._start)}  {text}")

    def _alert(self, message: bytes) -> None:
        alert = Alert.model_validate_json(message)
        if alert.id in self.alerts:
            return
        self.alerts[alert.id] = alert
        data = alert.data
        worse = data.severity.value != self._severity.get(data.incident)
        self._severity[data.incident] = data.severity.value
        if self._show_alerts and (data.state is not AlertState.UPDATED or worse):
            self.note(alert.time, alert_line(data))

    def _control(self, message: bytes) -> None:
        control = CONTROL.validate_json(message)
        if isinstance(control, RetrainRequest) and control.id not in self.requests:
            self.requests[control.id] = control
            self.note(control.at, f"RETRAIN REQUEST  {control.reason}")
        elif isinstance(control, ModelPublished) and control.model_version not in self.published:
            self.published[control.model_version] = control
            self.say(f"  worker           PUBLISHED  model {control.model} {control.model_version}")
        elif isinstance(control, ModelRejected) and control.id not in self.rejected:
            self.rejected[control.id] = control
            self.say(f"  worker           KEPT BACK  {control.reason}")

    def _swaps(self) -> None:
        for version, at in self.scores.swapped.items():
            if version not in self._shown_versions:
                first = not self._shown_versions
                self._shown_versions.add(version)
                text = (
                    "FIRST SCORE  by" if first else f"SWAPPED  the daemon, still process {self._pid}, now scores with"
                )
                self.note(datetime.fromtimestamp(at, UTC), f"{text} model {version}")

    def _status(self) -> None:
        if self.newest - self._status_at >= STATUS_EVERY:
            self._status_at = self.newest
            self.note(self.newest, f"...  {len(self.scores.seen):,} records scored, {self.open_alarms} alarm(s) open")


def day(when: datetime, start: datetime) -> str:
    """Plant time: days are counted from 1, the first day of the history."""
    return f"day {(when - start).days + 1:>2} {when:%H:%M}"


def alert_line(data: AlertData) -> str:
    """One alert for a reader who knows pumps and not this program."""
    head = f"{data.asset:<7} {data.state.value.upper():<7} {data.severity.value:<8}"
    if data.state is AlertState.CLOSED:
        return f"{head} {_words(data)} is over, it lasted {_hours(data.duration_s)}"
    if data.condition is Condition.SILENT:
        return f"{head} sends nothing"
    if data.condition is not Condition.ANOMALY:
        sensor = data.sensors[0]
        return f"{head} {sensor.sensor} {_words(data)} at {_value(sensor.observed, sensor.unit)}"
    return f"{head} {'; '.join(_readings(data))}"


def _readings(data: AlertData) -> Iterable[str]:
    for sensor in data.sensors[:SENSORS_SHOWN]:
        yield f"{sensor.sensor} {_value(sensor.observed, sensor.unit)}, expected {_value(sensor.expected, '')}"


def _words(data: AlertData) -> str:
    return data.condition.value.replace("_", " ")


def _value(value: float | None, unit: str) -> str:
    return "missing" if value is None else f"{value:.4g} {unit}".rstrip()


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
