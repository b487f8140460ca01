"""Whether processes are there: asked of the kernel."""

import os
import time
from collections.abc import Iterable
from pathlib import Path


def gone(pids: Iterable[int], within_s: float = 30.0) -> bool:
    """Whether none of the processes is left, now or within some seconds."""
    assert _alive(os.getpid()), "this system does not tell"
    left, deadline = [*pids], time.monotonic() + within_s
    while any(_alive(pid) for pid in left):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _alive(pid: int) -> bool:
    """A zombie is not: nobody may have buried it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
