"""The members of a training, fitted one after the other or side by side: either way the same come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.manifest import ComponentName
from trainer.fitting.members import FoldModel, fit_member
from trainer.graph.preprocess import Scaling
from trainer.parallel.pool import Tell, side_by_side
from trainer.parallel.progress import Progressing
from trainer.parallel.threads import one_thread
from trainer.replay.prepare import Prepared
from trainer.replay.splits import Part

FROM_WINDOWS = 4000  # of fewer a process costs more than it saves: it loads torch, which takes seconds


@dataclass(frozen=True, slots=True)
class Task:
    """A member to be fitted. whole: the model's scaling, for a fold."""

    name: str
    part: Part
    whole: Scaling | None


def fit_members(
    prepared: Prepared, tasks: Sequence[Task], names: tuple[ComponentName, ...], say: Progressing, processes: int
) -> list[FoldModel]:
    """The tasks' members, in their order. Blocks. processes: how many of them may be fitted at a time."""
    if min(processes, len(tasks)) < 2 or len(prepared.replay) < FROM_WINDOWS:
        return [fit_member(task.name, prepared, task.part, task.whole, say, names) for task in tasks]

    def hear(news: tuple[str, tuple[Any, ...]]) -> None:
        method, told = news
        getattr(say, method)(*told)

    with side_by_side(processes, partial(_fit, prepared, names), tasks, hear) as members:
        return list(members)


class _Relay:
    """Progressing that tells the parent: which method, with what."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def begin(self, name: str, epochs: int) -> None:
        self._tell(("begin", (name, epochs)))

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        self._tell(("epoch", (name, epoch, train, validation)))

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        self._tell(("done", (name, best_epoch, validation)))


def _fit(prepared: Prepared, names: tuple[ComponentName, ...], task: Task, tell: Tell) -> FoldModel:
    with one_thread():
        return fit_member(task.name, prepared, task.part, task.whole, _Relay(tell), names)
