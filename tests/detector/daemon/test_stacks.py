"""A loop that stands still leaves every thread's stack in the log, on request and before the watchdog ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from detector.bundles.store import Store
from tests.support.tiny_bundle import tiny


def appears(log: Path, text: str, within_s: float = 60.0) -> str:
    """The log once it holds a text."""
    deadline = time.monotonic() + within_s
    while text not in log.read_text():
        assert time.monotonic() < deadline, f"no {text!r} in: {log.read_text()}"
        time.sleep(0.05)
    return log.read_text()


def test_a_process_that_is_stuck_says_where(tmp_path: Path) -> None:
    """The feed is a pipe without a writer: SIGUSR1 shows where it hangs, SIGABRT shows it and ends it."""
    store = Store(str(tmp_path / "models"))
    tiny("v1").publish(store)
    store.promote("pumps", "v1")
    os.mkfifo(tmp_path / "sensors.jsonl")
    config, log = tmp_path / "watch.yaml", tmp_path / "log"
    settings = {
        "transport": "files", "files": {"directory": str(tmp_path), "follow": True}, "store": store.url,
        "watch": [{"model": "pumps"}], "http": {"port": 0},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(settings))
    pipe = os.open(tmp_path / "sensors.jsonl", os.O_RDWR)
    with log.open("wb") as file:
        command = [sys.executable, "-m", "detector.cli", "run", "--config", str(config)]
        process = subprocess.Popen(command, stderr=file, stdout=file)
        try:
            appears(log, "partition assigned")
            time.sleep(0.5)
            process.send_signal(signal.SIGUSR1)
            text = appears(log, "loop.py")
            assert process.poll() is None
            assert all(word in text for word in ("files", "in tick", "in run_daemon", "serve_forever"))
            begin = len(text)
            process.send_signal(signal.SIGABRT)
            assert process.wait(30) == -signal.SIGABRT
            said = log.read_text()[begin:]
            assert "Fatal Python error: Aborted" in said
            assert all(word in said for word in ("in tick", "serve_forever"))
        finally:
            process.kill()
            process.wait()
            os.close(pipe)
