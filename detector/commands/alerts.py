"""`watchkeeper alerts`: the alarms, for a person at a terminal or for a pipe."""

import os
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated

import typer
from pydantic import ValidationError

from detector.commands.options import ConfigOption
from detector.config import load_settings
from detector.errors import WatchkeeperError, one_line
from detector.transports.registry import transport_of
from schemas.alert import Alert, AlertKind, AlertState, Evidence, Severity

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_COLOURS = {
    Severity.WARNING: typer.colors.YELLOW,
    Severity.MAJOR: typer.colors.MAGENTA,
    Severity.CRITICAL: typer.colors.RED,
}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_REMEMBERED = 100_000  # ids of alerts already shown: delivery is at least once


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; everything must agree."""

    assets: tuple[str, ...]  # globs; none: all
    severity: Severity  # at least
    states: tuple[AlertState, ...]  # none: all
    kind: AlertKind | None
    since: datetime | None  # event time

    def takes(self, alert: Alert) -> bool:
        """Whether the alert is one of those asked for."""
        data = alert.data
        return (
            (not self.assets or any(fnmatchcase(data.asset, glob) for glob in self.assets))
            and _RANK[data.severity] >= _RANK[self.severity]
            and (not self.states or data.state in self.states)
            and (self.kind is None or data.kind == self.kind)
            and (self.since is None or alert.time >= self.since)
        )


def alerts(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more; Ctrl-C ends it.")] = False,
    asset: Annotated[
        list[str] | None, typer.Option("--asset", "-a", help="Glob on the asset; may be repeated.")
    ] = None,
    severity: Annotated[
        Severity, typer.Option("--severity", "-s", help="This severity or a higher one.")
    ] = Severity.WARNING,
    state: Annotated[list[AlertState] | None, typer.Option("--state", help="Only this step; may be repeated.")] = None,
    kind: Annotated[
        AlertKind | None, typer.Option("--kind", help="Alarms of the plant, or of the data's quality.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Event time: 2026-03-01T08:00, or an age such as 90m, 2h, 7d; or 'now'."),
    ] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvent a line.")] = False,
) -> None:
    """Show alarms from the alerts topic (or file), in the order it holds them; duplicates are left out.

    Joins no consumer group and changes nothing. For example: watchkeeper alerts -f --asset 'pump-*' --severity major
    """
    wanted = Filter(
        assets=tuple(asset or ()),
        severity=severity,
        states=tuple(state or ()),
        kind=kind,
        since=_moment(since, datetime.now(UTC)) if since else None,
    )
    settings = load_settings(config)
    paint = _painter()
    shown = 0
    for alert in _readable(transport_of(settings).read_topic(settings, settings.topics.alerts, follow)):
        if wanted.takes(alert):
            shown += 1
            print(alert.model_dump_json() if as_json else line(alert, paint), flush=True)
    if not shown and not as_json:
        print(f"no alarm of that kind in {settings.topics.alerts}; wait for one with --follow", file=sys.stderr)


def _readable(messages: Iterable[bytes]) -> Iterator[Alert]:
    """Alerts, each id once; a message that is not one is named on standard error and passed over."""
    seen: OrderedDict[str, None] = OrderedDict()
    for number, message in enumerate(messages, start=1):
        try:
            alert = Alert.model_validate_json(message)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, fault["loc"])) or "the message"
            reason = one_line(f"{place[:80]}: {fault['msg'][:120]}")
            print(f"message {number} is not an alert ({reason}), passed over", file=sys.stderr)
            continue
        if alert.id in seen:
            continue
        seen[alert.id] = None
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        yield alert


def line(alert: Alert, paint: Callable[[str, Severity], str]) -> str:
    """One alert as one line: time, asset, state, severity, message, and the sensors with what was expected of them."""
    data = alert.data
    state = f"{data.state.upper():<7} {data.severity:<8}"
    sensors = "; ".join(map(_sensor, data.sensors))
    lasted = f" (after {_span(data.duration_s)})" if data.state is AlertState.CLOSED else ""
    text = f"{one_line(data.message)}{lasted}" + (f" | {one_line(sensors)}" if sensors else "")
    return f"{alert.time:%Y-%m-%d %H:%M:%SZ}  {one_line(data.asset)}  {paint(state, data.severity)}  {text}"


def _sensor(evidence: Evidence) -> str:
    unit = f" {evidence.unit}" if evidence.unit else ""
    observed = "missing" if evidence.observed is None else f"{evidence.observed:.4g}{unit}"
    if evidence.expected is None:
        return f"{evidence.sensor} {observed}"
    return f"{evidence.sensor} {observed} (expected {evidence.expected:.4g}{unit}, {evidence.contribution:+.0%})"


def _span(seconds: float) -> str:
    """Two largest units, as people say it: 90 s is '1m 30s'."""
    parts, rest = [], round(seconds)
    for name, size in reversed(_UNITS_S.items()):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts[:2]) or "0s"


def _painter() -> Callable[[str, Severity], str]:
    """Colour on a terminal only, and not where NO_COLOR is set (no-color.org)."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return lambda text, severity: typer.style(text, fg=_COLOURS[severity], bold=severity is Severity.CRITICAL)
    return lambda text, _severity: text


def _moment(text: str, now: datetime) -> datetime:
    """A point in time from an ISO time (UTC where it names no zone), an age, or 'now'."""
    if text == "now":
        return now
    if age := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return now - timedelta(seconds=int(age[1]) * _UNITS_S[age[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WatchkeeperError(
            f"--since {text[:40]!r} is not a time", "write 2026-03-01T08:00, 90m, 2h, 7d or now"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
