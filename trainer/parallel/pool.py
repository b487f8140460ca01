"""A pool of processes that end with their parent, and leave nothing behind.

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
Send = Callable[[Any], None]
Work = Callable[[Item, Send], Result]  # runs in the other process: an item, and how to send messages on the way

CONTEXT = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
# The kinds of answers that a process sends.
MESSAGE, RESULT, ERROR = "message", "result", "error"


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def parallel_map(
    count: int, work: Work[Item, Result], items: Sequence[Item], on_message: Send = lambda _message: None
) -> Iterator[Iterator[Result]]:
    """The results of the items' work in at most `count` processes, in the items' order, as they come.

    on_message: gets what a process sends on its way. The processes are killed when the block ends, whatever ends it.
    An error of one item is raised as soon as it is known; WatchkeeperError where a process died in its work.
    """
    with sigint_blocked():
        workers = [_Worker() for _ in range(min(count, len(items)))]
    try:
        yield _in_order(workers, work, items, on_message)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A spawned process and the pipe to it."""

    def __init__(self) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()  # or its end would never be seen

    def give(self, work: Work[Item, Result], item: Item) -> None:
        """Sends an item with its work. Not at the start: a process starts only when the one before has read all."""
        with self._death_is_an_error():
            self.pipe.send_bytes(pickle.dumps((work, item)))

    def receive(self) -> tuple[str, Any]:
        """Its next answer, kind and value; blocks."""
        with self._death_is_an_error():
            kind, value = pickle.loads(self.pipe.recv_bytes())  # noqa: S301  # from our own process
        return kind, value

    def end(self) -> None:
        """At once."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    @contextmanager
    def _death_is_an_error(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self.end()
            raise WatchkeeperError(
                f"a process beside this one ended in the middle of its work (exit code {self._process.exitcode})",
                "give fewer --jobs if memory ran out, and start again",
            ) from None


def _in_order(
    workers: list[_Worker], work: Work[Item, Result], items: Sequence[Item], on_message: Send
) -> Iterator[Result]:
    """Results in the items' order."""
    early: dict[int, Result] = {}
    results = _as_completed(workers, work, items, on_message)
    for wanted in range(len(items)):
        while wanted not in early:
            number, result = next(results)
            early[number] = result
        yield early.pop(wanted)


def _as_completed(
    workers: list[_Worker], work: Work[Item, Result], items: Sequence[Item], on_message: Send
) -> Iterator[tuple[int, Result]]:
    """Numbers of items and their results, as they come."""
    left, idle = deque(enumerate(items)), [*workers]
    busy: dict[Connection, tuple[_Worker, int]] = {}
    while left or busy:
        while left and idle:
            worker, (number, item) = idle.pop(), left.popleft()
            worker.give(work, item)
            busy[worker.pipe] = worker, number
        for pipe in wait([*busy]):
            worker, number = busy[cast("Connection", pipe)]
            kind, value = worker.receive()
            if kind == ERROR:
                raise value
            if kind == MESSAGE:
                on_message(value)
                continue
            idle.append(worker)
            del busy[worker.pipe]
            yield number, value


def _serve(pipe: Connection) -> None:
    """A process's life: items in, results out. Pickled here: torch's own way would share memory, which goes with us."""
    begin_process()

    def send(message: Any) -> None:
        pipe.send_bytes(pickle.dumps((MESSAGE, message)))

    while True:
        work, item = pickle.loads(pipe.recv_bytes())  # noqa: S301  # from our own parent
        try:
            answer = pickle.dumps((RESULT, work(item, send)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the parent raises it
            answer = pickle.dumps((ERROR, error))
        pipe.send_bytes(answer)


def begin_process() -> None:
    """The first call in a spawned process: it ends with its parent, and leaves no semaphore behind.

    Libraries make locks on their own (tqdm does, inside torch's export). Those of a spawned process are named, and a
    process that is killed cannot take its names back: Python warns of a leak at the end. Locks for forked processes
    have no name once they are made.
    """
    multiprocessing.set_start_method("fork", force=True)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Processes that are spawned in the block ignore Ctrl-C: they would print a traceback. Their parent kills them."""
    resource_tracker.ensure_running()  # begun with the first process, it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
