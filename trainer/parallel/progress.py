"""What a person sees of a long training: a bar on a terminal, plain lines elsewhere, nothing when told so."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0


class Progressing(Protocol):
    """What the recipe tells while it works. Several fits may be under way: each is known by its name."""

    def begin(self, name: str, epochs: int) -> None:
        """A fit begins."""
        ...

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        """An epoch of it ended."""
        ...

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        """It ended."""
        ...


class Silent:
    """Says nothing: for tests and for trainings inside another command's own progress."""

    def begin(self, name: str, epochs: int) -> None:
        """Nothing."""

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        """Nothing."""

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        """Nothing."""


class Lines:
    """A line every few seconds and one a fit, on standard error."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # fit -> when it may speak again

    def begin(self, name: str, epochs: int) -> None:
        """Waits for the first line to be due."""
        del epochs
        self._due[name] = time.monotonic() + LINE_EVERY_S

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        """Speaks when it is time again."""
        if time.monotonic() >= self._due[name]:
            self._due[name] = time.monotonic() + LINE_EVERY_S
            print(f"{name}: epoch {epoch + 1}, loss {train:.4g}, validation {validation:.4g}", file=sys.stderr)

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        """One line a fit."""
        print(f"{name}: best epoch {best_epoch + 1}, validation loss {validation:.4g}", file=sys.stderr)


class Bar:
    """A rich progress bar, one line a fit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def begin(self, name: str, epochs: int) -> None:
        """A new line."""
        self._tasks[name] = self._progress.add_task(name, total=epochs, loss="")

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        """Moves the bar."""
        told = f"loss {train:.4g}, validation {validation:.4g}"
        self._progress.update(self._tasks[name], completed=epoch + 1, loss=told)

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        """Fills it: early stopping is an end like any other."""
        text = f"best epoch {best_epoch + 1}, validation {validation:.4g}"
        self._progress.update(self._tasks[name], total=1, completed=1, loss=text)


@contextmanager
def progress() -> Iterator[Progressing]:
    """A bar where standard error is a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[loss]}")
    with Progress(*columns, console=console) as shown:
        yield Bar(shown)
