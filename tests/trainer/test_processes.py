"""Work in several processes: results, errors, and that nobody works on for a parent that is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from detector.errors import DataError, WatchkeeperError
from trainer.processes import side_by_side

_given: list[int] = []


def begin(summand: int) -> None:
    _given.append(summand)


def plus(number: int) -> tuple[int, int]:
    return number + _given[0], os.getpid()


def fail(number: int) -> int:
    if number == 0:
        raise DataError("this history is too short", "give more")
    time.sleep(60)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def toil(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def results(work: Callable[[int], object]) -> list[object]:
    """Of two items in two processes."""
    with side_by_side(2, work, (0, 1)) as works:
        return [one.result() for one in works]


def test_results_come_in_the_items_order_from_other_processes() -> None:
    """Each process was begun with what was given."""
    with side_by_side(2, plus, range(5), begin, (100,)) as works:
        sums, places = zip(*(work.result() for work in works), strict=True)
    assert sums == (100, 101, 102, 103, 104)
    assert os.getpid() not in places


def test_an_error_is_raised_as_it_is_and_ends_the_others() -> None:
    """Problem and remedy come through, and nobody waits for a minute of work that is for nothing."""
    begun = time.monotonic()
    with pytest.raises(DataError, match="this history is too short: give more"):
        results(fail)
    assert time.monotonic() - begun < 30


def test_a_killed_process_is_said() -> None:
    """As the kernel kills when memory runs out."""
    with pytest.raises(WatchkeeperError, match="was killed: give fewer --jobs"):
        results(die)


SCRIPT = """
import sys
from tests.trainer.test_processes import toil
from trainer.processes import side_by_side
if __name__ == "__main__":
    try:
        with side_by_side(2, toil, [sys.argv[1]] * 2) as works:
            works[0].result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@contextmanager
def toiling(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", list[int]]]:
    """A parent and its two processes at work."""
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (folder / "pids").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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


def gone(pids: list[int]) -> bool:
    """Whether none of the processes is left, within half a minute."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_ctrl_c_ends_all_at_once_and_nobody_prints_a_traceback(tmp_path: Path) -> None:
    """The terminal's signal goes to all of them."""
    with toiling(tmp_path) as (parent, pids):
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(30) == 130
        assert parent.stderr is not None
        assert parent.stderr.read() == b""
        assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_outlives_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However it ended."""
    with toiling(tmp_path) as (parent, pids):
        parent.send_signal(number)
        parent.wait(30)
        assert gone(pids)
