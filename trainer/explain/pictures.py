"""The pictures of an explanation."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detector.core.arrays import Bools, Doubles
from trainer.explain.incident import Episode
from trainer.explain.latent import Clustering, Plane
from trainer.explain.sensitivity import Influence
from trainer.reports.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, as_uri, draw
from trainer.reports.page import Picture

SENSORS_SHOWN = 24
SHARES_SHOWN = 12  # the rest is small by then
NUMBERS_SHOWN = 8  # features; in a larger table of correlations colours must do
LOOKS = ((BLUE, "o"), (ORANGE, "^"), (GREEN, "s"), (PINK, "D"), (SKY, "v"), (RED, "P"))


def scatter(plane: Plane, above: Bools, what: str) -> Picture:
    """Windows in the plane; those above the threshold stand out by colour and by shape."""
    figure, axes = _plane(plane, what)
    kinds = ((~above, BLUE, "o", 3.2, "normal"), (above, RED, "^", 5.0, "above the threshold"))
    for chosen, colour, mark, size, name in kinds:
        if chosen.any():
            axes.plot(*plane.points[chosen].T, mark, color=colour, markersize=size, alpha=0.55, label=name)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    text = f"{len(above):,} windows in the plane of their {what}, {int(above.sum()):,} of them above the threshold"
    return Picture(as_uri(figure), text)


def clusters(plane: Plane, clustering: Clustering) -> Picture:
    """The same plane by cluster."""
    what = clustering.space
    figure, axes = _plane(plane, what)
    for number in range(clustering.centres):
        colour, mark = LOOKS[number % len(LOOKS)]
        axes.plot(*plane.points[clustering.members == number].T, mark, color=colour, markersize=3.2, alpha=0.6)
    sizes = ", ".join(f"{size:,}" for size in clustering.sizes)
    return Picture(as_uri(figure), f"{clustering.centres} clusters of the {what}, with {sizes} windows")


def silhouettes(found: Sequence[Clustering]) -> Picture:
    """How far clusters stand apart, by their number, for the code and the data."""
    figure, (axes,) = draw(5.2, 3.0)
    for space, (colour, mark) in {"code": (BLUE, "o"), "data": (ORANGE, "s")}.items():
        mine = [each for each in found if each.space == space]
        if mine:
            axes.plot([c.centres for c in mine], [c.silhouette for c in mine], f"{mark}-", color=colour, label=space)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=min(0.0, *(each.silhouette for each in found)))
    axes.set_xlabel("centres of k-means")
    axes.set_ylabel("silhouette (1: far apart)")
    axes.legend()
    best = max(found, key=lambda each: each.silhouette)
    text = f"Farthest apart: {best.centres} clusters of the {best.space}, silhouette {best.silhouette:.2f}"
    return Picture(as_uri(figure), text)


def correlation(matrix: Doubles) -> Picture:
    """Correlations of the code's features."""
    count = len(matrix)
    figure, (axes,) = draw(5.2, 4.4)
    mesh = axes.pcolormesh(matrix[::-1], cmap="PuOr", vmin=-1.0, vmax=1.0, edgecolors="white", linewidth=0.5)
    figure.colorbar(mesh, ax=axes, label="correlation", shrink=0.8)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    step = max(count // NUMBERS_SHOWN, 1)
    ticks = np.arange(0, count, step)
    axes.set_xticks(ticks + 0.5, [str(n + 1) for n in ticks])
    axes.set_yticks(count - ticks - 0.5, [str(n + 1) for n in ticks])
    axes.set_xlabel("feature of the code")
    if count <= NUMBERS_SHOWN:
        for (row, column), value in np.ndenumerate(matrix):
            ink = "#fefefe" if abs(value) > 0.6 else "#010101"  # on its own ground, light or dark page
            axes.text(column + 0.5, count - row - 0.5, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=9)
    off = np.abs(matrix[~np.eye(count, dtype=bool)])
    text = f"Correlations of {count} features of the code" + (f", at most {off.max():.2f}" if len(off) else "")
    return Picture(as_uri(figure), text)


def influence(found: Sequence[Influence]) -> Picture:
    """What exchanging a sensor's values does to the score and to the code."""
    shown = list(found[:SENSORS_SHOWN])[::-1]
    place = np.arange(len(shown))
    figure, (axes,) = draw(5.2, max(1.5 + 0.34 * len(shown), 2.4))
    axes.barh(
        place + 0.19, [one.score_ratio - 1 for one in shown], 0.36, color=BLUE, label="score rises (over its mean)"
    )
    axes.barh(place - 0.19, [one.code_shift for one in shown], 0.36, color=ORANGE, label="code moves (over its spread)")
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(place, [one.sensor for one in shown])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("when the sensor's values come from other windows")
    figure.legend(loc="outside upper center", ncols=1, frameon=False)
    first = found[0]
    return Picture(as_uri(figure), f"Sensors by what they mean to the model; the score depends most on {first.sensor}")


def contributions(episode: Episode) -> Picture:
    """Which sensors the incident was."""
    shown = episode.shares[:SHARES_SHOWN][::-1]
    figure, (axes,) = draw(5.2, max(1.2 + 0.27 * len(shown), 1.9))
    values = [100 * one.contribution for one in shown]
    colours = [BLUE if value < 0 else RED for value in values]
    axes.barh(range(len(shown)), values, color=colours)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [one.sensor for one in shown])
    axes.grid(visible=False, axis="y")
    what = "score" if episode.incident else "residual"
    axes.set_xlabel(f"% of the {what} (right: higher than expected)")
    strongest = ", ".join(f"{one.sensor} {100 * one.contribution:+.0f} %" for one in episode.shares[:3])
    return Picture(as_uri(figure), f"Contributions to the {what}: {strongest or 'none'}")


def score_course(episode: Episode, threshold: float) -> Picture:
    """The score around the incident."""
    minutes = (episode.times - episode.begin_s) / 60
    figure, (axes,) = draw(5.2, 2.6)
    axes.plot(minutes, episode.scores, color=BLUE)
    axes.axhline(threshold, color=RED, label="threshold")
    _shade(axes, episode)
    axes.set_ylabel("score")
    axes.set_xlabel("minutes since the incident's beginning")
    axes.legend(loc="upper left")
    return Picture(as_uri(figure), f"Score of {episode.asset}: up to {episode.peak:.3g}, threshold {threshold:.3g}")


def sensors(episode: Episode, names: Sequence[str]) -> Iterator[Picture]:
    """Measured and reconstructed values of the sensors that contributed most."""
    minutes = (episode.times - episode.begin_s) / 60
    order = [one.sensor for one in episode.shares]
    chosen = [*order, *(name for name in names if name not in order)][:SENSORS_SHOWN]
    units = {one.sensor: one.unit for one in episode.shares}
    for name in chosen:
        column = list(names).index(name)
        figure, (axes,) = draw(3.6, 2.3)
        axes.plot(minutes, episode.observed[:, column], color=BLACK, linewidth=1.8)
        axes.plot(minutes, episode.reconstruction[:, column], color=ORANGE, linewidth=1.2)
        _shade(axes, episode)
        axes.set_title(name if not units.get(name) else f"{name} ({units[name]})")
        axes.set_xlabel("minutes")
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.margins(y=0.15)
        yield Picture(as_uri(figure), f"{name}: measured against the model's reconstruction")


def _plane(plane: Plane, what: str) -> tuple[Figure, Axes]:
    figure, (axes,) = draw(5.2, 4.2)
    for axis, share, name in ((axes.xaxis, plane.shares[0], "first"), (axes.yaxis, plane.shares[1], "second")):
        axis.set_label_text(f"{name} component of the {what} ({100 * share:.0f} % of variance)")
    return figure, axes


def _shade(axes: Axes, episode: Episode) -> None:
    axes.axvspan(0.0, max((episode.end_s - episode.begin_s) / 60, 1e-3), color=GREY, alpha=0.18, linewidth=0)
