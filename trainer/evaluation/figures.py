"""The pictures of an evaluation: every series' score against its labels and alarms, and all methods on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from detector.core.arrays import Doubles
from trainer.evaluation.judge import MethodResult
from trainer.metrics.alarms import DAY_S
from trainer.metrics.events import spans
from trainer.reports.figures import BLACK, BLUE, GREY, ORANGE, RED, SKY, as_uri, draw
from trainer.reports.page import Picture

POINTS = 700  # of a line; of more rows the highest score of each stretch is drawn
FLOOR, CEILING = 0.05, 20.0  # of score / threshold
LABELS, ALARMS = CEILING * 1.6, CEILING * 3.2  # where the two bars lie


@dataclass(frozen=True, slots=True)
class Mark:
    """A method's figure on the scale that all share."""

    method: str
    value: float
    kind: str  # ours, baseline, published
    spread: float = 0.0  # standard deviation over seeds


def course(result: MethodResult) -> Picture:
    """Score over threshold along a series, with a bar for labelled events and one for alarms."""
    positions, unit = _axis(result)
    figure, (axes,) = draw(5.2, 2.4)
    centre, highest = _envelope(positions, result.scores / result.threshold)
    axes.plot(centre, np.clip(highest, FLOOR, CEILING), color=BLUE, linewidth=0.9)
    axes.axhline(1.0, color=RED, linewidth=1.2)
    events = [] if result.labels is None else spans(result.labels)
    for begin, end in events:
        axes.axvspan(positions[begin], positions[end], color=ORANGE, alpha=0.25, linewidth=0)
    _bars(axes, positions, events, LABELS, ORANGE)
    _bars(axes, positions, [(alarm.opened, alarm.last) for alarm in result.alarms], ALARMS, BLACK)
    axes.set_yscale("log")
    axes.set_ylim(FLOOR, CEILING * 5)
    axes.set_yticks([0.1, 1.0, 10.0, LABELS, ALARMS], ["0.1", "1", "10", "label", "alarm"])
    axes.minorticks_off()
    axes.margins(x=0.01)
    axes.grid(visible=False)
    axes.set_ylabel("score / threshold")
    axes.set_xlabel(unit)
    axes.set_title(result.name if len(result.name) < 48 else f"{result.name[:45]}...")
    return Picture(as_uri(figure), _words(result))


def scale(marks: Sequence[Mark], figure_name: str) -> Picture:
    """All methods by one figure, the best at the top; ours with its spread over seeds."""
    ordered = sorted(marks, key=lambda mark: mark.value)
    figure, (axes,) = draw(5.2, 1.2 + 0.24 * len(ordered))
    looks = {"ours": (BLUE, "o", 9), "baseline": (SKY, "s", 6), "published": (GREY, "D", 5)}
    for row, mark in enumerate(ordered):
        colour, shape, size = looks[mark.kind]
        axes.hlines(row, 0.0, mark.value, color=colour, linewidth=1.0, alpha=0.6)
        axes.plot([mark.value], [row], shape, color=colour, markersize=size)
        if mark.spread:
            axes.hlines(row, mark.value - mark.spread, mark.value + mark.spread, color=colour, linewidth=4)
    for kind, (colour, shape, size) in looks.items():
        if any(mark.kind == kind for mark in ordered):
            axes.plot([], [], shape, color=colour, markersize=size, label=kind)
    axes.set_yticks(range(len(ordered)), [mark.method for mark in ordered])
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.set_xlim(left=min(0.0, *(mark.value for mark in ordered)))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{figure_name} (more is better)")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    best = ", ".join(f"{mark.method} {mark.value:.3f}" for mark in ordered[:-4:-1])
    return Picture(as_uri(figure), f"{len(ordered)} methods by {figure_name}; the best: {best}")


def _axis(result: MethodResult) -> tuple[Doubles, str]:
    """Where each row lies, and the unit: time since the first where there are times of day, else row numbers."""
    if result.days is None:
        return np.arange(result.rows, dtype=np.float64), "test row"
    since = result.times - result.times[0]
    for size, name in ((DAY_S, "days"), (3600.0, "hours")):
        if since[-1] >= 2 * size:
            return since / size, f"{name} since the first test row"
    return since / 60.0, "minutes since the first test row"


def _envelope(positions: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """At most POINTS points: of each stretch its highest value, at its middle."""
    cuts = np.unique(np.linspace(0, len(values), min(POINTS, len(values)) + 1).astype(int))
    begins = cuts[:-1]
    return (positions[begins] + positions[cuts[1:] - 1]) / 2, np.maximum.reduceat(values, begins)


def _bars(axes: Axes, positions: Doubles, runs: Sequence[tuple[int, int]], height: float, colour: str) -> None:
    shortest = (positions[-1] - positions[0]) / 250  # a shorter bar would not be seen
    for begin, end in runs:
        last = max(positions[end], positions[begin] + shortest)
        axes.plot([positions[begin], last], [height] * 2, color=colour, linewidth=4.5, solid_capstyle="butt")


def _words(result: MethodResult) -> str:
    text = f"{result.name}: {result.rows:,} test rows, alarms {len(result.alarms)}"
    if result.events is None or result.counts is None:
        return text
    text += f", events found {len(result.events.delays)} of {result.events.events}, F1 {result.counts.f1:.3f}"
    return text if result.volume is None else f"{text}, VUS-PR {result.volume:.3f}"
