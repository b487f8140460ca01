"""Work in several processes: results, errors, and that nobody works on for a parent that is gone."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from detector.errors import DataError, WatchkeeperError
from tests.support.processes import gone
from trainer.parallel.pool import Send, Work, parallel_map


def plus(summand: int, number: int, send: Send) -> tuple[int, int]:
    send(f"adding {number}")
    return number + summand, os.getpid()


def fail(number: int, _send: Send) -> int:
    time.sleep(600 * (1 - number))
    raise DataError("this history is too short", "give more")


def die(number: int, _send: Send) -> int:
    time.sleep(600 * (1 - number))
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_while_sending(number: int, _send: Send) -> bytes:
    """More than a pipe takes at once, and a kill before the parent has read it all."""
    Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(400_000_000 * number)


def sleep_long(folder: str, _send: Send) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


LOCKS: list[object] = []


def make_lock(number: int, _send: Send) -> int:
    """As tqdm makes one, without asking, inside torch's export; it lives as long as the process."""
    LOCKS.append(multiprocessing.RLock())
    return number


def results(work: Work[int, object]) -> list[object]:
    """Of two items in two processes, the second of which is done first."""
    with parallel_map(2, work, (0, 1)) as found:
        return list(found)


def test_results_come_in_the_items_order_from_other_processes() -> None:
    """And messages that are sent on the way come before them."""
    messages: list[str] = []
    with parallel_map(2, partial(plus, 100), range(5), messages.append) as found:
        sums, places = zip(*found, strict=True)
    assert sums == (100, 101, 102, 103, 104)
    assert os.getpid() not in places
    assert sorted(messages) == [f"adding {number}" for number in range(5)]


@pytest.mark.timeout(120)
def test_an_error_is_raised_at_once_and_ends_the_others() -> None:
    """Problem and remedy come through, and nobody waits for ten minutes of work that is for nothing."""
    with pytest.raises(DataError, match="this history is too short: give more"):
        results(fail)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", [die, die_while_sending])
def test_a_killed_process_is_an_error_at_once(work: Work[int, object]) -> None:
    """As the kernel kills when memory runs out: nobody waits for the others, nor for the rest of a result."""
    with pytest.raises(WatchkeeperError, match=r"\(exit code -9\): give fewer --jobs"):
        results(work)
    assert not multiprocessing.active_children()


LOCKING = """
from tests.trainer.parallel.test_pool import make_lock
from trainer.parallel.pool import parallel_map
if __name__ == "__main__":
    with parallel_map(2, make_lock, [1, 2]) as found:
        assert list(found) == [1, 2]
"""


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    """Python would warn of leaked semaphores at the end of the command, and its user would look for the mistake."""
    script = tmp_path / "script.py"
    script.write_text(LOCKING, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, timeout=120, check=True)
    assert ended.stderr == b""


SCRIPT = """
import sys
from tests.trainer.parallel.test_pool import sleep_long
from trainer.parallel.pool import parallel_map
if __name__ == "__main__":
    try:
        with parallel_map(2, sleep_long, [sys.argv[1]] * 2) as found:
            next(found)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@contextmanager
def parent_at_work(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", list[int]]]:
    """A parent and its two processes at work."""
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (folder / "pids").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(script), str(folder / "pids")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as parent:
        try:
            deadline = time.monotonic() + 120
            while len(found := list((folder / "pids").iterdir())) < 2:
                assert time.monotonic() < deadline, "they did not begin"
                assert parent.poll() is None
                time.sleep(0.05)
            yield parent, [int(path.name) for path in found]
        finally:
            parent.kill()


def test_ctrl_c_ends_all_at_once_and_nobody_prints_a_traceback(tmp_path: Path) -> None:
    """The terminal's signal goes to all of them."""
    with parent_at_work(tmp_path) as (parent, pids):
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(30) == 130
        assert parent.stderr is not None
        assert parent.stderr.read() == b""
        assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_outlives_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However it ended."""
    with parent_at_work(tmp_path) as (parent, pids):
        parent.send_signal(number)
        parent.wait(30)
        assert gone(pids)
