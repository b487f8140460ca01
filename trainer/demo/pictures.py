"""The pictures of the demo's page: the scores of every asset, the alarm rate by day, and the faults close up."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from schemas.alert import AlertKind
from trainer.demo.judge import FaultOutcome, IncidentRecord, StoryVerdict, incidents
from trainer.demo.setup import DemoSetup
from trainer.demo.story import FinishedStory
from trainer.reports.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, as_uri, draw
from trainer.reports.page import Picture
from trainer.simulate.plant import Block, stream
from trainer.simulate.sensors import COLUMN, INSTRUMENTS

DAY_S = 86400.0
BIN_S = 1800.0  # of the timeline: the highest score in it is drawn
SHADE = {AlertKind.PROCESS: ORANGE, AlertKind.QUALITY: PINK}
FLOOR, CEILING = 0.03, 30.0  # of score / threshold


def timeline(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> Picture:
    """Scores of each asset over the threshold, incidents shaded, true faults marked, warming and swap drawn."""
    truth = story.observed.truth
    figure, rows = draw(12.0, 1.35 * len(truth.assets) + 0.9, len(truth.assets))
    found = incidents(story.observed.alerts)
    for asset, axes in zip(truth.assets, rows, strict=True):
        times, ratios = story.observed.scores.course(asset)
        days, highest = _envelope(_axis(times, truth.start), ratios)
        axes.plot(days, np.clip(highest, FLOOR, CEILING), color=BLUE, linewidth=0.8)
        axes.axhline(1.0, color=RED, linewidth=1.0)
        _shade(axes, [i for i in found if i.asset == asset], truth.start, 1.0 + setup.simulation.days)
        _true_marks(axes, [f for f in verdict.outcomes if f.fault.asset == asset], truth.start)
        _turns(axes, setup, verdict, truth.start)
        axes.set_yscale("log")
        axes.set_ylim(FLOOR, CEILING * 4)
        axes.set_yticks([0.1, 1.0, 10.0], ["0.1", "1", "10"])
        axes.minorticks_off()
        axes.set_ylabel(asset)
        axes.grid(visible=False, axis="x")
    rows[-1].set_xlim(1.0 + setup.chapter("clean").start, 1.0 + setup.simulation.days)
    rows[-1].set_xlabel("day of the story (the history before it was the model's to learn from)")
    figure.legend(handles=_legend(), loc="outside upper center", ncols=7, frameon=False)
    return Picture(as_uri(figure), "Score over threshold of each pump, with alarms, true faults, warming and new model")


def _legend() -> list[Patch | Line2D]:
    return [
        Patch(color=BLUE, label="score / threshold"),
        Patch(color=RED, label="threshold"),
        Patch(color=ORANGE, alpha=0.35, label="alarm: plant"),
        Patch(color=PINK, alpha=0.35, label="alarm: data"),
        Patch(color=BLACK, label="true fault"),
        Line2D([], [], color=GREY, linestyle=":", label="warming begins"),
        Patch(color=GREEN, label="new model"),
    ]


def daily(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> Picture:
    """Share of all scores above the threshold, by day."""
    truth = story.observed.truth
    courses = [story.observed.scores.course(asset) for asset in truth.assets]
    day = _axis(np.concatenate([times for times, _ in courses]), truth.start) // 1.0
    above = np.concatenate([ratios for _, ratios in courses])
    day, above = day[np.isfinite(above)], above[np.isfinite(above)] > 1.0
    days = np.unique(day)
    share = np.array([100.0 * above[day == d].mean() for d in days])
    figure, (axes,) = draw(5.6, 3.0)
    axes.bar(days + 0.5, share, width=0.85, color=SKY)
    _turns(axes, setup, verdict, truth.start)
    axes.set_ylim(0.0, max(5.0, 1.1 * float(share.max(initial=0.0))))
    axes.set_xlabel("day of the story")
    axes.set_ylabel("% of scores above threshold")
    axes.legend(handles=_legend()[-2:], loc="upper left")
    return Picture(as_uri(figure), "Share of scores above the threshold by day: faults, warming, new model")


def warmth(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> Picture:
    """The air of the plant, which is what drifted."""
    blocks = list(stream(setup.simulation))
    days = _axis(np.concatenate([b.times for b in blocks]), setup.simulation.start)
    air = np.concatenate([b.values[:, :, COLUMN["ambient"]].mean(axis=1) for b in blocks])
    figure, (axes,) = draw(5.6, 3.0)
    axes.plot(days[::30], air[::30], color=BLUE, linewidth=1.0)
    axes.axvspan(1.0, 1.0 + setup.chapter("history").end, color=GREY, alpha=0.15, linewidth=0)
    axes.text(
        1.0 + setup.chapter("history").end / 2,
        0.96,
        "learned from",
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="top",
    )
    _turns(axes, setup, verdict, story.observed.truth.start)
    axes.set_xlabel("day of the story")
    axes.set_ylabel("air (degC)")
    return Picture(as_uri(figure), "Air temperature over the story; the shaded part is the first model's history")


def close_ups(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> Iterator[Picture]:
    """Each fault that has a sensor: its course, the time of the fault, and when the alarm came."""
    for outcome in verdict.outcomes:
        if outcome.fault.sensors and outcome.fault.asset:
            yield _close_up(setup, story.observed.truth.start, outcome)


def _close_up(setup: DemoSetup, start: datetime, outcome: FaultOutcome) -> Picture:
    fault, sensor = outcome.fault, outcome.fault.sensors[0]
    begin, end = _days(fault.start, start), _days(fault.end, start)
    margin = 0.5 * (end - begin)
    blocks = list(stream(setup.simulation, begin - margin - 1.0, end + margin - 1.0))
    days, values = _values(blocks, setup, fault.asset or "", sensor)
    unit = next(i.unit for i in INSTRUMENTS if i.name == sensor)
    figure, (axes,) = draw(4.4, 2.6)
    axes.plot(days, values, color=BLUE, linewidth=0.9)
    axes.axvspan(begin, end, color=GREY, alpha=0.2, linewidth=0)
    for incident in outcome.incidents:
        axes.axvline(_days(incident.opened, start), color=RED)
    axes.set_title(f"{fault.asset}: {fault.kind}")
    axes.set_xlabel("day (grey: the fault; red: the alarm opens)")
    axes.set_ylabel(f"{sensor.replace('_', ' ')} ({unit})")
    return Picture(as_uri(figure), f"{sensor} of {fault.asset} around the {fault.kind}")


def _values(
    blocks: Sequence[Block], setup: DemoSetup, asset: str, sensor: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    column = setup.simulation.names.index(asset)
    days = _axis(np.concatenate([b.times for b in blocks]), setup.simulation.start)
    return days, np.concatenate([b.values[:, column, COLUMN[sensor]] for b in blocks])


def _envelope(
    days: NDArray[np.float64], ratios: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest ratio of each bin; a bin without one is a gap in the line."""
    if not len(days):
        return days, ratios
    place = (days * DAY_S // BIN_S).astype(np.int64)
    bins = np.arange(place[0], place[-1] + 1)
    highest = np.full(len(bins), -np.inf)
    np.maximum.at(highest, place - place[0], np.where(np.isnan(ratios), -np.inf, ratios))
    return (bins + 0.5) * BIN_S / DAY_S, np.where(np.isinf(highest), np.nan, highest)


def _shade(axes: Axes, found: Sequence[IncidentRecord], start: datetime, days: float) -> None:
    for incident in found:
        end = days if incident.end is None else _days(incident.end, start)
        axes.axvspan(_days(incident.start, start), end, color=SHADE[incident.kind], alpha=0.35, linewidth=0)


def _true_marks(axes: Axes, outcomes: Sequence[FaultOutcome], start: datetime) -> None:
    for outcome in outcomes:
        begin, end = _days(outcome.fault.start, start), _days(outcome.fault.end, start)
        axes.plot([begin, end], [CEILING * 2.2] * 2, color=BLACK, linewidth=5, solid_capstyle="butt")
        axes.text(begin - 0.15, CEILING * 2.2, str(outcome.fault.kind), ha="right", va="center", fontsize=9)


def _turns(axes: Axes, setup: DemoSetup, verdict: StoryVerdict, start: datetime) -> None:
    """Where the warming begins and where a new model took over."""
    axes.axvline(1.0 + setup.chapter("drift").start, color=GREY, linestyle=":", linewidth=1.4)
    for swap in verdict.swaps:
        axes.axvline(_days(swap, start), color=GREEN, linewidth=1.8)


def _days(when: datetime, start: datetime) -> float:
    """A time on the axis: day 1 begins at 1, as the lines and the table count."""
    return 1.0 + (when - start).total_seconds() / DAY_S


def _axis(times: NDArray[np.float64], start: datetime) -> NDArray[np.float64]:
    """The same for times in seconds since 1970."""
    return 1.0 + (times - start.timestamp()) / DAY_S
