"""How every picture looks: colours that a colour-blind reader can tell apart, sizes that a phone can show.

A picture becomes an SVG in a data URI, so that a page needs nothing but itself.
"""

from base64 import b64encode
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito (2008): distinguishable with any common colour blindness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#6B7280"

# What a picture is drawn in, and what stands for it where the reader asks for dark pages. An SVG in an <img> sees the
# reader's wish by itself; on a page that stays light it brings its own ground along.
_DARK = {
    "#ffffff": "#14181f", "#000000": "#f3f4f6", "#374151": "#c9d0da", "#e5e7eb": "#39414e", "#6b7280": "#9aa3b2",
    "#0072b2": "#3d9be0",
}  # fmt: skip

_STYLE: dict[Any, Any] = {  # matplotlib types its keys one by one
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#374151",
    "axes.grid": True,
    "grid.color": "#E5E7EB",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 9,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "watchkeeper",  # the same figures give the same bytes
}


def style() -> AbstractContextManager[None]:
    """The house style, for the time of drawing; matplotlib's settings are global and belong to the caller."""
    return mpl.rc_context(_STYLE)


def draw(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure, in inches, with `rows` axes one below the other that share their horizontal axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)
    return figure, list(axes[:, 0])


def as_uri(figure: Figure) -> str:
    """The figure as a data URI for an <img>."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + b64encode(_for_light_and_dark(buffer.getvalue())).decode("ascii")


def _for_light_and_dark(svg: bytes) -> bytes:
    """Inks and grounds become variables, which a media query sets."""
    text = svg.decode("utf-8")
    for number, colour in enumerate(_DARK):
        text = text.replace(f": {colour}", f": var(--c{number})")
    light, dark = (
        ";".join(f"--c{number}:{colour}" for number, colour in enumerate(colours))
        for colours in (_DARK.keys(), _DARK.values())
    )
    # Text in black carries no colour of its own.
    rules = f":root{{{light};fill:var(--c1)}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return text.replace('<style type="text/css">', f'<style type="text/css">{rules}', 1).encode("utf-8")
