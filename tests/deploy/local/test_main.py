"""`python -m deploy.local`: a broker for as long as a command runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "deploy.local"]
# Says where it finds the broker and whether one listens there; ends with 7, or by what a signal makes of it.
LOOK = """
import json, os, signal, socket, sys, time
host, port = sys.argv[1].split(":")
socket.create_connection((host, int(port)), timeout=5).close()
variable = os.environ["WATCHKEEPER_KAFKA__BOOTSTRAP_SERVERS"]
caught = []
signal.signal(signal.SIGTERM, lambda *_: caught.append("TERM"))
print(json.dumps({"argument": sys.argv[1], "variable": variable}), flush=True)
end = time.monotonic() + float(sys.argv[2])
while not caught and time.monotonic() < end:
    time.sleep(0.05)
sys.exit(9 if caught else 7)
"""


def _listens(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}


@pytest.mark.usefixtures("kafka_tools")
def test_a_command_runs_beside_a_broker_that_ends_with_it(tmp_path: Path) -> None:
    """The address is in its arguments and its environment; its exit code is given back; nothing is left behind."""
    environment = _environment() | {"TMPDIR": str(tmp_path)}
    command = [*PROGRAM, "--", sys.executable, "-c", LOOK, "{bootstrap}", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 7, done.stderr
    said = json.loads(done.stdout)
    assert said["argument"] == said["variable"]
    assert not _listens(said["argument"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("kafka_tools")
def test_a_signal_reaches_the_command_and_both_end() -> None:
    """SIGTERM is the command's to answer: it drains, and the broker stays up until it has."""
    command = [*PROGRAM, "--", sys.executable, "-c", LOOK, "{bootstrap}", "60"]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        bootstrap = json.loads(program.stdout.readline())["argument"]
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 9
    assert not _listens(bootstrap)


@pytest.mark.usefixtures("kafka_tools")
def test_a_command_that_a_signal_ended_is_told_as_a_shell_tells_it() -> None:
    """128 and the signal's number."""
    command = [*PROGRAM, "--", sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    done = subprocess.run(command, env=_environment(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 128 + signal.SIGKILL


@pytest.mark.usefixtures("kafka_tools")
def test_without_a_command_it_prints_the_address_and_waits() -> None:
    """Ctrl-C ends it; it is no error."""
    with subprocess.Popen(PROGRAM, env=_environment(), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        bootstrap = program.stdout.readline().split("answers at ")[1].split(";")[0]
        assert _listens(bootstrap)
        time.sleep(0.2)
        assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0
    assert not _listens(bootstrap)


def test_a_command_that_does_not_exist_is_named_before_a_broker_starts() -> None:
    """With a shell's exit code."""
    done = subprocess.run([*PROGRAM, "--", "no-such-program"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 127
    assert done.stderr == "deploy.local: there is no command no-such-program: check its spelling and the PATH\n"


def test_a_command_without_the_two_dashes_is_refused() -> None:
    """Its options would be taken for this program's own."""
    done = subprocess.run([*PROGRAM, "watchkeeper", "run"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "usage: python -m deploy.local [-- COMMAND" in done.stderr
