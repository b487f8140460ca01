"""A long training is seen to move: as lines in a log, as bars on a terminal."""

import io
import time

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from trainer.parallel.progress import (
    LINE_EVERY_S,
    EpochEnded,
    FitBegan,
    FitEnded,
    FitEvent,
    ProgressBar,
    ProgressLines,
    shown_progress,
)

EVENTS: list[FitEvent] = [
    FitBegan("model", 60),
    FitBegan("fold 1", 60),
    EpochEnded("model", 0, 0.5, 0.25),
    EpochEnded("fold 1", 0, 0.5, 0.125),
    FitEnded("model", 0, 0.25),
]


def test_lines_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One a fit at its end, and one of an epoch only when the fit was silent for a while; on standard error."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = ProgressLines()
    for event in EVENTS:
        lines(event)
    now[0] = LINE_EVERY_S
    lines(EpochEnded("fold 1", 7, 0.5, 0.125))
    lines(EpochEnded("fold 1", 8, 0.5, 0.125))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "model: best epoch 1, validation loss 0.25",
        "fold 1: epoch 8, loss 0.5, validation 0.125",
    ]


def test_each_fit_has_a_bar_that_fills() -> None:
    """A fit that stopped early is as full as one that took all its epochs."""
    progress = Progress(TextColumn("{task.description}"), console=Console(file=io.StringIO()))
    bar = ProgressBar(progress)
    for event in EVENTS:
        bar(event)
    model, fold = progress.tasks
    assert (model.description, model.finished, model.fields["loss"]) == ("model", True, "best epoch 1, validation 0.25")
    assert (fold.description, fold.completed, fold.total) == ("fold 1", 1, 60)
    assert fold.fields["loss"] == "loss 0.5, validation 0.125"


def test_without_a_terminal_there_are_lines() -> None:
    """A log holds no escape sequences."""
    with shown_progress() as on_progress:
        assert isinstance(on_progress, ProgressLines)
