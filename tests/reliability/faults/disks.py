"""Faults of disks: no room for the state, for outputs, for a model, for the log."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from deploy.local.broker import free_port
from deploy.local.process import RUN, DaemonProcess
from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from tests.reliability.faults import disk_limit
from tests.reliability.faults.bad_feed import HARMLESS, SECONDS, BadFeed
from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.ledger import Reconciliation, read_folder, reconcile
from tests.reliability.faults.registry import fault, run_fault
from tests.reliability.faults.testbed import AT_LEAST_ONCE, FaultTestbed

DATA_FAULT = 3  # the daemon's exit code


def _watch_files(testbed: FaultTestbed, folder: Path, emit: str, room: int | None = None) -> int:
    """The daemon over a file, to its end; room: bytes that a file may have. Gives its exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without scores and dead letters the state is the first file for which there is no room.
    feed = BadFeed("harmless", [HARMLESS] * SECONDS if emit == "all" else []).feed()
    (folder / "sensors.jsonl").write_bytes(b"".join((m.value or b"") + b"\n" for m in feed.messages))
    port = free_port()
    document = {
        "transport": "files", "files": {"directory": str(folder)}, "store": str(testbed.store),
        "watch": [{"model": "pump"}], "scores": {"emit": emit}, "limits": {"poll_records": 20, "checkpoint_s": 0.05},
        "topics": {r: r for r in ("alerts", "scores", "dead_letters", "state")},
        "http": {"port": port}, "logging": {"level": "error"},
    }  # fmt: skip
    config = folder / "watchkeeper.yaml"
    config.write_text(json.dumps(document))
    program = RUN if room is None else (*disk_limit.PROGRAM, str(room), *RUN)
    with DaemonProcess(config, port, folder / "a.log", program=program) as daemon:
        return daemon.wait(60)


def _account(testbed: FaultTestbed, emit: str, room: int) -> Reconciliation:
    whole, short = testbed.folder / testbed.name("files"), testbed.folder / testbed.name("files")
    assert _watch_files(testbed, whole, emit) == 0
    assert _watch_files(testbed, short, emit, room) == DATA_FAULT, (short / "a.log").read_text()[-2000:]
    log = (short / "a.log").read_text()
    assert "cannot be written" in log.splitlines()[-1]
    assert "Traceback" not in log
    assert _watch_files(testbed, short, emit) == 0
    baseline, outputs = read_folder(whole), read_folder(short)
    lines = len((whole / "sensors.jsonl").read_bytes().splitlines())
    ends = {0: lines} if emit == "all" else {}
    return replace(reconcile(outputs, baseline, ends, [], exactly_once=False), records=lines)


@fault("full disk at the state", (AT_LEAST_ONCE,))
def state(testbed: FaultTestbed, _guarantee: str) -> Reconciliation:
    """One line and an exit code; with space again the run goes on from the state it last wrote."""
    return _account(testbed, "none", 1500)


@fault("full disk at the outputs", (AT_LEAST_ONCE,))
def outputs(testbed: FaultTestbed, _guarantee: str) -> Reconciliation:
    """The disk ends in the middle of a line; with space again no line is torn and none is missing."""
    return _account(testbed, "all", 15_000)


@run_fault("full disk at the model store")
def model_store(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Publishing is refused in one line, nothing half lies there, and with space again it works."""
    daemons.start()
    daemons.works()
    model = testbed.name("large")
    publish = ["-m", "tests.reliability.faults.publisher", str(testbed.store), model, "v1", "8"]
    full = [sys.executable, *disk_limit.PROGRAM, str(1 << 20), *publish]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert list((testbed.store / model).iterdir()) == []
    assert subprocess.run([sys.executable, *publish], check=False).returncode == 0
    assert load_bundle(Store(str(testbed.store)), model, "v1").manifest.model_version == "v1"


@run_fault("full disk at the log")
def log(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Nobody hears the daemon, and it watches on."""
    voice = daemons.folder / "a.log"
    voice.symlink_to("/dev/full")
    daemons.start()
    voice.unlink()  # the daemon has it open; a harness that read it would never come to its end
    daemons.works()
