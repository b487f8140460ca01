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
from tests.reliability.faults import narrow
from tests.reliability.faults.bench import AT_LEAST_ONCE, Bench
from tests.reliability.faults.ledger import Account, read_folder, settle
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import fault, harm
from tests.reliability.faults.spoilt import HARMLESS, SECONDS, Spoilt

DATA_FAULT = 3  # the daemon's exit code


def _watch_files(bench: Bench, folder: Path, emit: str, room: int | None = None) -> int:
    """The daemon over a file, to its end; room: bytes that a file may have. Gives its exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without scores and dead letters the state is the first file for which there is no room.
    feed = Spoilt("harmless", [HARMLESS] * SECONDS if emit == "all" else []).feed()
    (folder / "sensors.jsonl").write_bytes(b"".join((m.value or b"") + b"\n" for m in feed.messages))
    port = free_port()
    document = {
        "transport": "files", "files": {"directory": str(folder)}, "store": str(bench.store),
        "watch": [{"model": "pump"}], "scores": {"emit": emit}, "limits": {"poll_records": 20, "checkpoint_s": 0.05},
        "topics": {r: r for r in ("alerts", "scores", "dead_letters", "state")},
        "http": {"port": port}, "logging": {"level": "error"},
    }  # fmt: skip
    config = folder / "watchkeeper.yaml"
    config.write_text(json.dumps(document))
    program = RUN if room is None else (*narrow.PROGRAM, str(room), *RUN)
    with DaemonProcess(config, port, folder / "a.log", program=program) as daemon:
        return daemon.wait(60)


def _account(bench: Bench, emit: str, room: int) -> Account:
    whole, short = bench.folder / bench.name("files"), bench.folder / bench.name("files")
    assert _watch_files(bench, whole, emit) == 0
    assert _watch_files(bench, short, emit, room) == DATA_FAULT, (short / "a.log").read_text()[-2000:]
    log = (short / "a.log").read_text()
    assert "cannot be written" in log.splitlines()[-1]
    assert "Traceback" not in log
    assert _watch_files(bench, short, emit) == 0
    truth, books = read_folder(whole), read_folder(short)
    lines = len((whole / "sensors.jsonl").read_bytes().splitlines())
    ends = {0: lines} if emit == "all" else {}
    return replace(settle(books, truth, ends, [], exactly_once=False), records=lines)


@fault("full disk at the state", (AT_LEAST_ONCE,))
def state(bench: Bench, _guarantee: str) -> Account:
    """One line and an exit code; with space again the run goes on from the state it last wrote."""
    return _account(bench, "none", 1500)


@fault("full disk at the outputs", (AT_LEAST_ONCE,))
def outputs(bench: Bench, _guarantee: str) -> Account:
    """The disk ends in the middle of a line; with space again no line is torn and none is missing."""
    return _account(bench, "all", 15_000)


@harm("full disk at the model store")
def model_store(plant: Plant, bench: Bench) -> None:
    """Publishing is refused in one line, nothing half lies there, and with space again it works."""
    plant.start()
    plant.works()
    model = bench.name("large")
    publish = ["-m", "tests.reliability.faults.publisher", str(bench.store), model, "v1", "8"]
    full = [sys.executable, *narrow.PROGRAM, str(1 << 20), *publish]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert list((bench.store / model).iterdir()) == []
    assert subprocess.run([sys.executable, *publish], check=False).returncode == 0
    assert load_bundle(Store(str(bench.store)), model, "v1").manifest.model_version == "v1"


@harm("full disk at the log")
def log(plant: Plant, bench: Bench) -> None:
    """Nobody hears the daemon, and it watches on."""
    voice = plant.folder / "a.log"
    voice.symlink_to("/dev/full")
    plant.start()
    voice.unlink()  # the daemon has it open; a harness that read it would never come to its end
    plant.works()
