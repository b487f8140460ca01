"""The members of a training, fitted one after the other or side by side: either way the same come out."""

import pickle
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import SimpleQueue
from typing import Any

from schemas.manifest import PartName
from trainer.folds import Part
from trainer.members import Member, fit_member
from trainer.prepare import Prepared
from trainer.preprocess import Scaling
from trainer.processes import CONTEXT, side_by_side
from trainer.progress import Progressing
from trainer.threads import one_thread

FROM_WINDOWS = 4000  # of fewer a process costs more than it saves: it loads torch, which takes seconds
EVERY_S = 0.2

News = tuple[str, tuple[Any, ...]]  # which of Progressing's methods, and what it is told


@dataclass(frozen=True, slots=True)
class Task:
    """A member to be fitted. whole: the model's scaling, for a fold."""

    name: str
    part: Part
    whole: Scaling | None


def fit_members(
    prepared: Prepared, tasks: Sequence[Task], names: tuple[PartName, ...], say: Progressing, processes: int
) -> list[Member]:
    """The tasks' members, in their order. Blocks. processes: how many of them may be fitted at a time."""
    if processes < 2 or len(prepared.replay) < FROM_WINDOWS:
        return [fit_member(task.name, prepared, task.part, task.whole, say, names) for task in tasks]
    news: SimpleQueue[News] = CONTEXT.SimpleQueue()
    # The history travels with each task: given to a process at its start, it would hold up the start of the next.
    fit = partial(_fit, prepared, names)
    with side_by_side(min(processes, len(tasks)), fit, tasks, _begin, (news,)) as fits:
        _pass_on(news, fits, say)
        return [pickle.loads(fit.result()) for fit in fits]  # noqa: S301  # our own process said it


def _pass_on(news: "SimpleQueue[News]", fits: list[Future[bytes]], say: Progressing) -> None:
    """What the processes tell, until all have ended."""
    left = {*fits}
    while left:
        left = wait(left, EVERY_S, FIRST_COMPLETED).not_done
        while not news.empty():
            method, told = news.get()
            getattr(say, method)(*told)


class _Relay:
    """Tells the parent."""

    def __init__(self, news: "SimpleQueue[News]") -> None:
        self._news = news

    def begin(self, name: str, epochs: int) -> None:
        self._news.put(("begin", (name, epochs)))

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        self._news.put(("epoch", (name, epoch, train, validation)))

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        self._news.put(("done", (name, best_epoch, validation)))


_relay: list[_Relay] = []  # of this process: a queue can only be handed over at its start


def _begin(news: "SimpleQueue[News]") -> None:
    _relay.append(_Relay(news))


def _fit(prepared: Prepared, names: tuple[PartName, ...], task: Task) -> bytes:
    """A member, pickled here: on its own torch would hand over shared memory, which goes with the process."""
    with one_thread():
        return pickle.dumps(fit_member(task.name, prepared, task.part, task.whole, _relay[0], names))
