"""The evaluation's page: it stands alone, speaks, and says what metrics.json says."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from schemas.training import Training
from tests.trainer.evaluation.test_baselines import made_series
from trainer.evaluation.baselines import BASELINES, baseline_scores
from trainer.evaluation.evaluate import OURS, SeriesResult
from trainer.evaluation.judge import MethodResult, MethodScores, judge
from trainer.evaluation.published import published
from trainer.evaluation.report import COLUMNS, shown, write_evaluation
from trainer.evaluation.scoreboard import scoreboard
from trainer.metrics.alarms import alarm_rules


class Tables(HTMLParser):
    """The page's tables by id or class, as rows of text; what a browser would fetch; what pictures say."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self.spoken: list[str] = []
        self.pictures = 0
        self._table, self._cell = "", False
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in {"script", "link", "iframe", "object"}
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag == "img":
            self.pictures += 1
            self.spoken.append(given.get("alt") or "")
        if tag == "table":
            self._table = given.get("id") or given.get("class") or ""
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in {"td", "th"}:
            self._cell = True
            self.tables[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in {"td", "th", "br"}

    def handle_data(self, data: str) -> None:
        if self._cell and not data.startswith("±"):
            self.tables[self._table][-1][-1] += data


def judgement(name: str, seeds: int = 2) -> SeriesResult:
    """A series of that name, judged; the product's scores are synthetic."""
    series = made_series()
    series = type(series)(name, series.train, series.times, series.values, series.labels, series.stamps)
    assert series.labels is not None
    ours: list[MethodResult] = []
    for seed in range(seeds):
        scores = np.random.default_rng(seed).random(300) + 0.7 * series.labels
        ours.append(judge(series, MethodScores(OURS, scores, alarm_rules(1.0, 0.8, 2.0, 5.0), 10.0)))
    beside = [judge(series, baseline_scores(method, series, Training())) for method in list(BASELINES)[:2]]
    return SeriesResult(tuple(ours), tuple(beside))


def page_of(names: list[str], protocol: str = "split") -> tuple[dict[str, object], Tables, bytes]:
    """The board as metrics.json holds it, and the page."""
    found = [judgement(name) for name in names]
    board = scoreboard(found, protocol)
    page = write_evaluation(board, found, Training(), "a folder")
    return json.loads(json.dumps(board)), Tables(page), page


def test_the_page_stands_alone_and_speaks() -> None:
    """No browser fetches anything, and every picture has words."""
    _, seen, page = page_of(["valve1_0", "valve1_1"])
    assert seen.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in seen.addresses)
    assert not re.search(rb"url\(|@import|https?://", page)
    assert seen.pictures == len(seen.addresses) == 2 + 2
    assert all(seen.spoken)


def test_its_numbers_are_those_of_metrics_json() -> None:
    """Every method's every figure, and every series'."""
    board, seen, _ = page_of(["one", "two"])
    head, *rows = seen.tables["methods"]
    figures = {OURS: board["pooled"], **{n: b["pooled"] for n, b in board["baselines"].items()}}  # type: ignore
    assert set(head[1:]) <= set(COLUMNS)
    assert {"F1", "FAR", "VUS-PR", "NAB ORACLE", "alarms/day"} <= set(head[1:])
    assert [row[0] for row in rows] == list(figures)
    for row in rows:
        assert row[1:] == [shown(name, figures[row[0]].get(name)) for name in head[1:]]
    head, *rows = seen.tables["series"]
    for row in rows:
        assert row[1:] == [shown(name, board["series"][row[0]].get(name)) for name in head[1:]]  # type: ignore


@pytest.mark.parametrize(
    ("name", "protocol", "method", "figure"),
    [
        ("valve1_0", "split", "Conv-AE", "0.780"),
        ("realTraffic__occupancy_6005", "split", "ARTime", "74.9"),
        ("machine-2-1", "tsb-ad", "TranAD", "0.505"),
    ],
)
def test_published_figures_stand_beside_ours(name: str, protocol: str, method: str, figure: str) -> None:
    """In the same table, by the same column, marked and with their source."""
    _, seen, page = page_of([name], protocol)
    rows = {row[0]: row[1:] for row in seen.tables["published"]}
    assert rows[f"{method} (published)"][0] == figure
    assert OURS in rows
    assert published([name], protocol)[0].source.encode() in page


def test_other_series_have_no_published_figures() -> None:
    """Figures of one way of judging never stand beside those of another."""
    assert published(["machine-2-1"], "split") == []
    assert published(["pump-7"], "tsb-ad") == []


def test_text_from_file_names_cannot_become_markup() -> None:
    """Series are named by files that others write."""
    assert b"<script" not in page_of(["<script>alert(1)</script>"])[2]
