"""The measuring of a history's way through the core is kept working."""

import json

import pytest
import typer

from benchmarks.speed import scoring


def test_the_short_form_gives_every_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Rates of both, and their ratio turn by turn; how fast is no test's business."""
    monkeypatch.setattr(scoring, "TRAINED", 600)
    with pytest.raises(typer.Exit):
        scoring.scoring(rows=2000, rounds=1, as_json=True)
    figures = {figure["name"]: figure for figure in json.loads(capsys.readouterr().out)}
    through, alone = figures["a history through the core"], figures["its graph alone, windows cut beforehand"]
    assert through["aim_low"] == scoring.AIM
    assert figures["the core / its graph alone"]["value"] == pytest.approx(through["value"] / alone["value"])
