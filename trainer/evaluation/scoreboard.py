"""The figures of a whole evaluation, as metrics.json has them: pooled over series, by series, for every method."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.baselines import CHAIN
from trainer.evaluation.evaluate import OURS, SeriesResult
from trainer.evaluation.judge import FACTORS, MethodResult
from trainer.metrics.alarms import Alarm
from trainer.metrics.events import EventCounts
from trainer.metrics.nab import nab_score, worth
from trainer.metrics.rows import Counts

Figures = dict[str, float | None]
HEADLINE = "VUS-PR"


def scoreboard(found: Sequence[SeriesResult], protocol: str) -> dict[str, Any]:
    """Everything that is printed, drawn and written.

    pooled: means over seeds; spread: their standard deviations, where there are several; seeds: each one's own.
    """
    seeds = [pooled([each.ours[seed] for each in found]) for seed in range(len(found[0].ours))]
    board: dict[str, Any] = {"protocol": protocol, "pooled": _mean(seeds)}
    if len(seeds) > 1:
        board |= {"spread": _spread(seeds), "seeds": seeds}
    board["series"] = {each.ours[0].name: _mean([_single(result) for result in each.ours]) for each in found}
    if found[0].baselines:
        methods = [result.method for result in found[0].baselines]
        board["baselines"] = {name: _baseline(found, index) for index, name in enumerate(methods)}
        board["verdict"] = _verdict(board)
    return board


def pooled(results: Sequence[MethodResult]) -> Figures:
    """One method's figures over all series: rates of summed counts, means of areas, medians of delays."""
    labelled = [each for each in results if each.counts is not None]
    figures: Figures = {"series": len(results), "rows": sum(each.rows for each in results)}
    if labelled:
        figures |= _rates(sum((each.counts for each in labelled if each.counts is not None), Counts(0, 0, 0, 0)))
        for name, field in {"AUC-ROC": "roc", "AUC-PR": "area", HEADLINE: "volume"}.items():
            figures[name] = _rounded(_average(getattr(each, field) for each in labelled))
        figures |= _nab(labelled)
        figures |= _events([each.events for each in labelled if each.events is not None])
    alarms, days = sum(len(each.alarms) for each in results), [each.days or 0.0 for each in results]
    figures |= {"alarms": alarms, "alarms/day": round(alarms / sum(days), 3) if all(days) else None}
    if "delay s" in figures and not all(days):
        figures["delay s"] = None  # row numbers are not seconds
    return figures


def _single(result: MethodResult) -> Figures:
    figures = pooled([result])
    for name in ("series", "NAB ORACLE", "NAB by row"):
        figures.pop(name, None)
    return {"anomalous": result.anomalous, "threshold": result.threshold, **figures}


def _baseline(found: Sequence[SeriesResult], index: int) -> dict[str, Any]:
    results = [each.baselines[index] for each in found]
    return {"pooled": pooled(results), "series": {each.name: _single(each) for each in results}}


def _rates(counts: Counts) -> Figures:
    return {
        "precision": round(counts.precision, 4),
        "recall": round(counts.recall, 4),
        "F1": round(counts.f1, 4),
        "FAR": round(100 * counts.false_alarm_rate, 2),
        "MAR": round(100 * counts.missed_alarm_rate, 2),
    }


def _nab(labelled: Sequence[MethodResult]) -> Figures:
    """By the rows in which alarms opened: at thresholds fixed beforehand, and at the best multiple of them all."""
    known = [worth(each.labels) for each in labelled if each.labels is not None]

    def score(alarmed: Iterable[NDArray[np.bool_]]) -> float | None:
        return nab_score(list(zip(known, alarmed, strict=True)))

    fixed = score(_opened(each.alarms, each.rows) for each in labelled)
    tried = (score(_opened(each.raised_at[n], each.rows) for each in labelled) for n in range(len(FACTORS)))
    best = None if fixed is None else max(0.0, fixed, *(one for one in tried if one is not None))  # 0: never an alarm
    by_row = score(each.scores > each.threshold for each in labelled)
    return {"NAB": _rounded(fixed, 2), "NAB ORACLE": _rounded(best, 2), "NAB by row": _rounded(by_row, 2)}


def _opened(alarms: Sequence[Alarm], rows: int) -> NDArray[np.bool_]:
    """The rows in which alarms opened, (row,)."""
    opened = np.zeros(rows, bool)
    opened[[alarm.opened for alarm in alarms]] = True
    return opened


def _events(counts: Sequence[EventCounts]) -> Figures:
    total = sum(counts, EventCounts(0, 0, 0, ()))
    delay = total.delay
    return {
        "events": total.events,
        "event recall": _rounded(total.recall),
        "event precision": _rounded(total.precision),
        "delay rows": None if delay is None else delay.rows,
        "delay s": None if delay is None else round(delay.seconds, 1),
    }


def _verdict(board: dict[str, Any]) -> str:
    """Whether the network earns its keep, in one line."""
    ours, plain = board["pooled"], board["baselines"][CHAIN]["pooled"]
    if ours.get(HEADLINE) is None:
        return f"{OURS} and the {CHAIN} cannot be told apart without labels"
    outcome = "beats" if ours[HEADLINE] > plain[HEADLINE] else "does not beat"
    return (
        f"by {HEADLINE} {OURS} {outcome} the {CHAIN}: {ours[HEADLINE]:.3f} against {plain[HEADLINE]:.3f}; "
        f"F1 {ours['F1']:.3f} against {plain['F1']:.3f}, FAR {ours['FAR']:.1f} % against {plain['FAR']:.1f} %"
    )


def _mean(rows: Sequence[Figures]) -> Figures:
    same = {name: value for name, value in rows[0].items() if all(row[name] == value for row in rows)}
    return {name: same.get(name, _rounded(_average(row[name] for row in rows))) for name in rows[0]}


def _spread(rows: Sequence[Figures]) -> Figures:
    found = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name]) is not None]
        found[name] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return found


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
