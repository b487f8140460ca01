"""Work for several processors: processes that end with whoever spawned them, and say nothing of it.

The standard library's pool would do, but for this: a process that is killed while it sends its result leaves the pool
waiting for the rest of it for ever, and one that is killed early may be noticed only when another has ended.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from detector.errors import WatchkeeperError

Item = TypeVar("Item")
Result = TypeVar("Result")
Tell = Callable[[Any], None]
Work = Callable[[Item, Tell], Result]  # in the other process: an item, and how to tell something on the way

CONTEXT = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
# What a process may say.
NEWS, DONE, FAILED = "news", "done", "failed"


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def side_by_side(
    count: int, work: Work[Item, Result], items: Sequence[Item], hear: Tell = lambda _news: None
) -> Iterator[Iterator[Result]]:
    """The results of the items' work in at most `count` processes, in the items' order, as they come.

    hear: gets what a process tells on its way. Whatever ends the block kills the processes. An error of one item is
    raised as soon as it is known; WatchkeeperError where a process ended that should not have.
    """
    with _deaf():
        team = [_Process() for _ in range(min(count, len(items)))]
    try:
        yield _results(team, work, items, hear)
    finally:
        for process in team:
            process.end()


class _Process:
    """A spawned process and the pipe to it."""

    def __init__(self) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()  # or its end would never be seen

    def give(self, work: Work[Item, Result], item: Item) -> None:
        """Sends an item with its work. Not at the start: a process starts only when the one before has read all."""
        with self._ended_is_an_error():
            self.pipe.send_bytes(pickle.dumps((work, item)))

    def said(self) -> tuple[str, Any]:
        """What it says next; blocks."""
        with self._ended_is_an_error():
            kind, value = pickle.loads(self.pipe.recv_bytes())  # noqa: S301  # our own process said it
        return kind, value

    def end(self) -> None:
        """At once."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    @contextmanager
    def _ended_is_an_error(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self.end()
            raise WatchkeeperError(
                f"a process beside this one ended in the middle of its work (exit code {self._process.exitcode})",
                "give fewer --jobs if memory ran out, and start again",
            ) from None


def _results(team: list[_Process], work: Work[Item, Result], items: Sequence[Item], hear: Tell) -> Iterator[Result]:
    """In the items' order."""
    found: dict[int, Result] = {}
    ended = _ended(team, work, items, hear)
    for wanted in range(len(items)):
        while wanted not in found:
            number, result = next(ended)
            found[number] = result
        yield found.pop(wanted)


def _ended(
    team: list[_Process], work: Work[Item, Result], items: Sequence[Item], hear: Tell
) -> Iterator[tuple[int, Result]]:
    """Numbers of items and their results, as they come."""
    left, idle = deque(enumerate(items)), [*team]
    busy: dict[Connection, tuple[_Process, int]] = {}
    while left or busy:
        while left and idle:
            process, (number, item) = idle.pop(), left.popleft()
            process.give(work, item)
            busy[process.pipe] = process, number
        for pipe in wait([*busy]):
            process, number = busy[cast("Connection", pipe)]
            kind, value = process.said()
            if kind == FAILED:
                raise value
            if kind == NEWS:
                hear(value)
                continue
            idle.append(process)
            del busy[process.pipe]
            yield number, value


def _serve(pipe: Connection) -> None:
    """A process's life: items in, results out. Pickled here: torch's own way would share memory, which goes with us."""
    follow_parent()
    while True:
        work, item = pickle.loads(pipe.recv_bytes())  # noqa: S301  # our own parent said it
        try:
            answer = pickle.dumps((DONE, work(item, lambda news: pipe.send_bytes(pickle.dumps((NEWS, news))))))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the parent's to tell
            answer = pickle.dumps((FAILED, error))
        pipe.send_bytes(answer)


def follow_parent() -> None:
    """Ends this process with the one that spawned it, or it would work on for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _deaf() -> Iterator[None]:
    """What is spawned here never hears of Ctrl-C: it would print a traceback. Its parent hears, and kills it."""
    resource_tracker.ensure_running()  # begun with the first process, it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
