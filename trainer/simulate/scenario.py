"""Which faults a simulation holds, and when: the named scenarios of `watchkeeper simulate`."""

from dataclasses import dataclass
from enum import StrEnum

from trainer.simulate.drivers import DAY_S
from trainer.simulate.faults import FaultKind, SimulatedFault


class Scenario(StrEnum):
    """clean: nothing. faults: one of each kind. drift: warming only. story: history, clean, faults, drift in turn."""

    CLEAN = "clean"
    FAULTS = "faults"
    DRIFT = "drift"
    STORY = "story"


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the story, in days since the start of the simulation."""

    name: str
    start: float
    end: float

    @property
    def days(self) -> float:
        """Length."""
        return self.end - self.start


STORY_DAYS = 44.0
_PARTS = (("history", 14.0), ("clean", 14.0), ("faults", 6.0), ("drift", 10.0))
# kind, which asset, start and end as shares of the span, sensor, strength
_FAULTS = (
    (FaultKind.WEAR, 1, 0.04, 0.30, None, 1.0),
    (FaultKind.LEAK, 3, 0.34, 0.46, None, 1.0),
    (FaultKind.STUCK, 0, 0.52, 0.64, "discharge_pressure", 1.0),
    (FaultKind.SILENT, 2, 0.70, 0.87, None, 1.0),
)
WARMING_SHARES = (0.0, 0.15)


def chapters(days: float) -> dict[str, Chapter]:
    """The story's parts in order; with another length than STORY_DAYS all of them stretch alike."""
    scale, start, parts = days / STORY_DAYS, 0.0, {}
    for name, length in _PARTS:
        parts[name] = Chapter(name, start, start + length * scale)
        start += length * scale
    return parts


def plan(scenario: Scenario, assets: int, days: float) -> tuple[SimulatedFault, ...]:
    """The faults of a scenario, in order of their start."""
    if scenario is Scenario.FAULTS:
        return _faults(assets, Chapter("all", 0.0, days))
    if scenario is Scenario.DRIFT:
        return (_warming(Chapter("all", days * 0.3, days)),)
    if scenario is Scenario.STORY:
        parts = chapters(days)
        return (*_faults(assets, parts["faults"]), _warming(parts["drift"]))
    return ()


def _faults(assets: int, chapter: Chapter) -> tuple[SimulatedFault, ...]:
    return tuple(
        SimulatedFault(
            kind=kind,
            asset=asset % assets,
            start_s=_at(chapter, begin),
            end_s=_at(chapter, end),
            sensor=sensor,
            strength=strength,
        )
        for kind, asset, begin, end, sensor, strength in _FAULTS
    )


def _warming(chapter: Chapter) -> SimulatedFault:
    begin, end = WARMING_SHARES
    return SimulatedFault(kind=FaultKind.WARMING, asset=None, start_s=_at(chapter, begin), end_s=_at(chapter, end))


def _at(chapter: Chapter, share: float) -> float:
    return (chapter.start + share * chapter.days) * DAY_S
