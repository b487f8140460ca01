"""The page of an evaluation: ours, the baselines and the published figures in tables, and every series in a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.training import Training
from trainer.evaluation.evaluate import OURS, SeriesResult
from trainer.evaluation.figures import Mark, course, scale
from trainer.evaluation.published import Published, published
from trainer.evaluation.scoreboard import HEADLINE
from trainer.reports.figures import style
from trainer.reports.page import Picture, render

PICTURES = 60  # series drawn; nobody reads a page of more
# What a column is called, the digits it is shown with, and what it means.
COLUMNS = {
    "F1": (3, "harmonic mean of precision and recall of rows, at the method's own threshold"),
    "precision": (3, "share of alarmed rows that are anomalous"),
    "recall": (3, "share of anomalous rows that are alarmed"),
    "FAR": (1, "false alarm rate: per cent of normal rows that are alarmed; less is better"),
    "MAR": (1, "missed alarm rate: per cent of anomalous rows that are not; less is better"),
    "AUC-ROC": (3, "chance that an anomalous row scores higher than a normal one; no threshold"),
    "AUC-PR": (3, "area under the precision-recall curve; no threshold"),
    "VUS-PR": (3, "the same over a range of shoulders around each event, for labels that nobody knows to the row"),
    "NAB": (1, "that benchmark's standard score of the alarms, at the method's own thresholds: silence 0, perfect 100"),
    "NAB ORACLE": (1, "the same at the one multiple of all thresholds that is best on the labels: no result"),
    "NAB by row": (1, "the same at the method's own thresholds where every row above them counts, not every alarm"),
    "event recall": (3, "share of labelled events during which an alarm was open"),
    "event precision": (3, "share of alarms that fall on an event"),
    "delay rows": (0, "median rows from an event's beginning to its alarm"),
    "delay s": (0, "the same in seconds"),
    "alarms": (0, "alarms as the daemon raises them, after its on-delay"),
    "alarms/day": (2, "the same by days of test rows, all series together; where rows carry times of day"),
}
SERIES_COLUMNS = ("rows", "anomalous", "F1", "FAR", "MAR", "AUC-PR", "VUS-PR", "events", "event recall", "alarms")
FACTS = ("F1", "FAR", "VUS-PR", "event recall", "event precision")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: a method or a series, and its figures as text."""

    name: str
    cells: tuple[str, ...]
    ours: bool = False
    spreads: tuple[str, ...] = ()  # one a cell, or none


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published table with our figures put in."""

    table: Published
    ours: str  # of which series our figures are
    lines: list[TableRow]
    picture: Picture


def write_evaluation(board: dict[str, Any], found: Sequence[SeriesResult], training: Training, title: str) -> bytes:
    """The page, UTF-8 HTML. board: what metrics.json holds; found: the same series, for the pictures."""
    methods = {OURS: board["pooled"], **{name: one["pooled"] for name, one in board.get("baselines", {}).items()}}
    used = [name for name in COLUMNS if any(figures.get(name) is not None for figures in methods.values())]
    with style():
        values = {
            "title": title,
            "board": board,
            "training": training,
            "seeds": len(found[0].ours),
            "facts": [(name, shown(name, board["pooled"].get(name))) for name in FACTS if name in used],
            "columns": used,
            "explained": {name: COLUMNS[name][1] for name in used},
            "methods": list(_methods(methods, used, board.get("spread", {}))),
            "scale": _scale(board) if HEADLINE in used else None,
            "comparisons": [_comparison(table, board) for table in published(board["series"], board["protocol"])],
            "series_columns": [
                n for n in SERIES_COLUMNS if any(f.get(n) is not None for f in board["series"].values())
            ],
            "series": board["series"],
            "shown": shown,
            "pictures": [course(each.ours[0]) for each in found[:PICTURES]],
            "hidden": max(len(found) - PICTURES, 0),
        }
    return render("evaluation.html", values)


def shown(name: str, value: float | None) -> str:
    """A figure as the page shows it."""
    if value is None:
        return "-"
    digits = COLUMNS[name][0] if name in COLUMNS else 0
    return f"{value:,.{digits}f}"


def _methods(methods: dict[str, Any], used: list[str], spread: dict[str, Any]) -> Iterator[TableRow]:
    for method, figures in methods.items():
        cells = tuple(shown(name, figures.get(name)) for name in used)
        about = tuple(f"± {shown(name, spread[name])}" if spread.get(name) else "" for name in used)
        yield TableRow(method, cells, method == OURS, about if method == OURS and spread else ())


def _marks(board: dict[str, Any], name: str, series: str | None = None) -> Iterator[Mark]:
    """Ours and the baselines' on one scale: of all series, or of one."""
    ours = board["pooled"] if series is None else board["series"][series]
    if ours.get(name) is not None:
        spread = (board.get("spread", {}).get(name) or 0.0) if series is None else 0.0
        yield Mark(OURS, ours[name], "ours", spread)
    for method, one in board.get("baselines", {}).items():
        value = (one["pooled"] if series is None else one["series"][series]).get(name)
        if value is not None:
            yield Mark(method, value, "baseline")


def _scale(board: dict[str, Any]) -> Picture | None:
    marks = list(_marks(board, HEADLINE))
    return scale(marks, HEADLINE) if len(marks) > 1 else None


def _comparison(table: Published, board: dict[str, Any]) -> Comparison:
    mine = table.about(board["series"])
    series = mine[0] if table.scope == "series" else None
    lines = []
    for mark in _marks(board, table.columns[0], series):
        figures = board["baselines"][mark.method] if mark.method in board.get("baselines", {}) else board
        chosen = figures["pooled"] if series is None else figures["series"][series]
        cells = tuple(shown(name, chosen.get(name)) for name in table.columns)
        lines.append((mark, TableRow(mark.method, cells, mark.kind == "ours")))
    for method, given in table.rows.items():
        cells = tuple(shown(name, value) for name, value in zip(table.columns, given, strict=True))
        lines.append((Mark(method, given[0], "published"), TableRow(f"{method} (published)", cells)))
    lines.sort(key=lambda pair: -pair[0].value)
    ours = series or f"{len(mine)} of its {table.of} series"
    return Comparison(table, ours, [line for _, line in lines], scale([mark for mark, _ in lines], table.columns[0]))
