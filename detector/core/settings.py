"""The sections of the configuration that the core reads."""

from dataclasses import dataclass, field

from schemas.config import Alarms, Drift, Feed, Limits, ScoresOut, Settings, WatchRule


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What a watch works by; all of it but `feed` can change while it runs.

    >>> WatchSettings(watch=(WatchRule(model="pumps"),)).alarms.missing_rows
    10
    """

    watch: tuple[WatchRule, ...]
    feed: Feed = field(default_factory=Feed)
    alarms: Alarms = field(default_factory=Alarms)
    drift: Drift = field(default_factory=Drift)
    scores: ScoresOut = field(default_factory=ScoresOut)
    limits: Limits = field(default_factory=Limits)

    @staticmethod
    def of(settings: Settings) -> "WatchSettings":
        """The sections of a whole configuration."""
        return WatchSettings(
            settings.watch, settings.feed, settings.alarms, settings.drift, settings.scores, settings.limits
        )
