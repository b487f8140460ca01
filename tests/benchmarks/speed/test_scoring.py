"""The measuring of a history's way through the core is kept working."""

import json

import pytest
import typer

from benchmarks.speed import scoring

NAMES = [
    "components of the score that was chosen",
    "a history through the core",
    "its graph alone, windows cut beforehand",
    "the core / its graph alone",
]


def test_the_short_form_gives_every_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole run ends with the four figures, all above 0; how fast is no test's business."""
    monkeypatch.setattr(scoring, "TRAINED", 600)
    with pytest.raises(typer.Exit):
        scoring.scoring(rows=2000, rounds=1, as_json=True)
    figures = json.loads(capsys.readouterr().out)
    assert [figure["name"] for figure in figures] == NAMES
    assert all(figure["value"] > 0 for figure in figures)


def test_ratios_are_taken_turn_by_turn() -> None:
    """A turn in which the machine was slow for both weighs as any other: not the ratio of the medians."""
    ours, bare = [100.0, 300.0, 200.0], [200.0, 300.0, 800.0]
    _, through, alone, ratio = scoring.figures(2, ours, bare)
    assert (through.value, alone.value) == (200.0, 300.0)
    assert through.aim_low == scoring.AIM
    assert ratio.value == 0.5  # the median of 0.5, 1.0 and 0.25
