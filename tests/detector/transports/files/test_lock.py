"""One daemon a state file, whatever became of the last one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detector.errors import ConfigError
from detector.transports.files.lock import StateLock
from schemas.config import Files, Settings, Topics

_HOLD = """
import sys, time
from pathlib import Path
from detector.transports.files.lock import StateLock
from schemas.config import Files, Settings
lock = StateLock(Settings(transport="files", files=Files(directory=Path(sys.argv[1]))))
print("held", flush=True)
time.sleep(60)
"""


def settings(folder: Path, state: str = "watchkeeper.state") -> Settings:
    return Settings(transport="files", files=Files(directory=folder), topics=Topics(state=state))


def test_a_second_daemon_of_one_state_file_is_refused_by_name(tmp_path: Path) -> None:
    """One line with the first one's process; another state file may be used, and so may this one after the end."""
    first = StateLock(settings(tmp_path))
    with pytest.raises(ConfigError, match=f"another watchkeeper \\(process {os.getpid()}\\).*{tmp_path.name}.*stop it"):
        StateLock(settings(tmp_path))
    StateLock(settings(tmp_path, "other")).release()
    first.release()
    StateLock(settings(tmp_path)).release()


def test_a_killed_daemon_leaves_no_lock_behind(tmp_path: Path) -> None:
    """The operating system drops it with the process."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid}"):
            StateLock(settings(tmp_path))
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    StateLock(settings(tmp_path)).release()
