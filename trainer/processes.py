"""Work for several processors: processes that end with whoever spawned them, and say nothing of it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from detector.errors import WatchkeeperError

Item = TypeVar("Item")
Result = TypeVar("Result")

CONTEXT = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork


@contextmanager
def side_by_side(
    count: int,
    work: Callable[[Item], Result],
    items: Sequence[Item],
    begin: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[list[Future[Result]]]:
    """The items' work in at most `count` processes, in whichever order; begin(*given) goes before it in each process.

    Whatever ends the block early kills them. Raises WatchkeeperError where one of them was killed.
    """
    pool = ProcessPoolExecutor(count, mp_context=CONTEXT, initializer=_begin, initargs=(begin, given))
    try:
        with _deaf():
            works = [pool.submit(work, item) for item in items]
        yield works
    except BrokenProcessPool:
        raise WatchkeeperError(
            "a process beside this one was killed", "give fewer --jobs if memory ran out, and start again"
        ) from None
    except BaseException:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def follow_parent() -> None:
    """Ends this process with the one that spawned it, or it would work on for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _begin(begin: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    follow_parent()
    if begin is not None:
        begin(*given)


@contextmanager
def _deaf() -> Iterator[None]:
    """What is spawned here never hears of Ctrl-C: it would print a traceback. Its parent hears, and kills it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
