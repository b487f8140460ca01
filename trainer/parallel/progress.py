"""The progress of a training: events for one callback. A bar on a terminal, plain lines elsewhere.

An event is a plain value, so a process sends its own to its parent as they are.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class FitBegan:
    """Several fits may be under way: each has its name."""

    name: str
    epochs: int  # at most


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """Losses are in the network's scaled units."""

    name: str
    epoch: int  # from 0
    train: float
    validation: float


@dataclass(frozen=True, slots=True)
class FitEnded:
    """The weights of the best epoch were kept."""

    name: str
    best_epoch: int  # from 0
    validation: float


FitEvent = FitBegan | EpochEnded | FitEnded
OnProgress = Callable[[FitEvent], None]


def no_progress(event: FitEvent) -> None:
    """Takes no notice: for tests, and for a training inside a command that has a progress of its own."""
    del event


class ProgressLines:
    """A line every few seconds and one a fit, on standard error."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # fit -> when its next line is due

    def __call__(self, event: FitEvent) -> None:
        """Prints what is due."""
        now = time.monotonic()
        if isinstance(event, FitBegan):
            self._due[event.name] = now + LINE_EVERY_S
        elif isinstance(event, FitEnded):
            text = f"best epoch {event.best_epoch + 1}, validation loss {event.validation:.4g}"
            print(f"{event.name}: {text}", file=sys.stderr)
        elif now >= self._due[event.name]:
            self._due[event.name] = now + LINE_EVERY_S
            text = f"epoch {event.epoch + 1}, loss {event.train:.4g}, validation {event.validation:.4g}"
            print(f"{event.name}: {text}", file=sys.stderr)


class ProgressBar:
    """A rich progress bar, one line a fit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: FitEvent) -> None:
        """Moves the fit's bar. The end fills it: early stopping is an end like any other."""
        if isinstance(event, FitBegan):
            self._tasks[event.name] = self._progress.add_task(event.name, total=event.epochs, loss="")
        elif isinstance(event, EpochEnded):
            text = f"loss {event.train:.4g}, validation {event.validation:.4g}"
            self._progress.update(self._tasks[event.name], completed=event.epoch + 1, loss=text)
        else:
            text = f"best epoch {event.best_epoch + 1}, validation {event.validation:.4g}"
            self._progress.update(self._tasks[event.name], total=1, completed=1, loss=text)


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """A bar where standard error is a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines()
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[loss]}")
    with Progress(*columns, console=console) as progress:
        yield ProgressBar(progress)
