"""The systemd units are sound, tight, and fit the daemon's own times and exit codes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from detector.errors import BadInputLimit, ConfigError
from schemas.config import Limits
from tests.support.tools import require_tool

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
DAEMON, WORKER = UNITS / "watchkeeper.service", UNITS / "watchkeeper-worker.service"
PROGRAM = "/opt/watchkeeper/bin/watchkeeper"
MOST_EXPOSED = 1.5  # of 10, by systemd's own count


@pytest.fixture(scope="module")
def analyze() -> str:
    """The path of systemd-analyze."""
    return require_tool("systemd-analyze", "systemd")


def _settings(unit: Path) -> dict[str, list[str]]:
    """Every assignment in a unit file, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if not line.startswith(("#", "[")) and "=" in line:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", [DAEMON, WORKER], ids=lambda unit: unit.stem)
@pytest.mark.parametrize("with_password", [False, True])
def test_systemd_takes_the_unit_without_a_word(analyze: str, unit: Path, with_password: bool, tmp_path: Path) -> None:
    """No unknown key, no wrong value, with and without the drop-in for the password; the program's path is replaced
    by one that is here.
    """
    (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"))
    if with_password:
        folder = tmp_path / f"{unit.name}.d"
        folder.mkdir()
        shutil.copy(UNITS / "kafka-password.conf", folder)
    ran = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, text=True, check=False
    )
    own = [line for line in ran.stderr.splitlines() if "watchkeeper" in line]
    assert (ran.returncode, own) == (0, []), ran.stderr


@pytest.mark.parametrize("unit", [DAEMON, WORKER], ids=lambda unit: unit.stem)
def test_the_unit_is_hardened(analyze: str, unit: Path) -> None:
    """By systemd's own count, what the service could reach stays below 1.5 of 10."""
    ran = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", ran.stdout)
    assert found is not None, ran.stdout + ran.stderr
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", [DAEMON, WORKER], ids=lambda unit: unit.stem)
def test_daemon_and_worker_run_as_one_user_over_one_store(unit: Path) -> None:
    """Never root, and the same name and state directory, or the worker's bundles could not be read."""
    settings = _settings(unit)
    assert settings["User"] == ["watchkeeper"]
    assert settings["DynamicUser"] == ["yes"]
    assert settings["StateDirectory"] == ["watchkeeper"]
    assert settings["WorkingDirectory"] == ["%S/watchkeeper"]


def test_the_daemon_notifies_and_is_watched() -> None:
    """Ready and alive are the daemon's own word; a reload is the signal that it listens to."""
    settings = _settings(DAEMON)
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) > Limits().delivery_timeout_s, "a tick that waits for delivery is alive"
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_times_leave_room_for_the_daemons_own() -> None:
    """Stopping takes drain_s, starting takes broker_wait_s: systemd waits longer than both."""
    settings = _settings(DAEMON)
    assert int(settings["TimeoutStopSec"][0]) > Limits().drain_s
    assert int(settings["TimeoutStartSec"][0]) > Limits().broker_wait_s


def test_a_fault_that_needs_a_person_is_not_tried_again() -> None:
    """A broken configuration or a feed that is mostly unreadable stops for good; everything else is started again."""
    settings = _settings(DAEMON)
    assert settings["Restart"] == ["on-failure"]
    prevented = {int(code) for code in settings["RestartPreventExitStatus"][0].split()}
    assert prevented == {ConfigError.exit_code, BadInputLimit.exit_code}


def test_only_the_worker_may_write_machine_code() -> None:
    """The convolutions of torch need it (they fail under MemoryDenyWriteExecute); onnxruntime does not."""
    assert _settings(DAEMON)["MemoryDenyWriteExecute"] == ["yes"]
    assert "MemoryDenyWriteExecute" not in _settings(WORKER)


@pytest.mark.parametrize("unit", [DAEMON, WORKER], ids=lambda unit: unit.stem)
def test_onnxruntime_can_see_the_processor(unit: Path) -> None:
    """ProcSubset=pid would hide /proc/cpuinfo, and scoring would be slow without a word."""
    assert "ProcSubset" not in _settings(unit)


def test_the_password_reaches_the_service_as_a_file() -> None:
    """No secret in a unit or its environment: a credential that only this service can read."""
    settings = _settings(UNITS / "kafka-password.conf")
    assert settings["LoadCredential"] == ["kafka-password:/etc/watchkeeper/kafka-password"]
    assert settings["Environment"] == ["WATCHKEEPER_KAFKA__SASL_PASSWORD_FILE=%d/kafka-password"]
