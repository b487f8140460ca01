"""A loop that does not move ends the process, whatever it hangs in; one that waits or works does not."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from detector.bundles.store import Store
from detector.daemon.health import Health
from detector.daemon.systemd import Notifier
from detector.daemon.watchdog import Watchdog, patience_s
from schemas.config import Kafka, Limits
from tests.detector.daemon.test_stacks import appears
from tests.support.plant import settings
from tests.support.tiny_bundle import tiny

QUICK = {"kafka": {"max_poll_interval_s": 1}, "limits": {"delivery_timeout_s": 2, "drain_s": 1}}  # 8 s without progress


STUCK = """
from detector import cli
from detector.transports.files.transport import FileTransport

first = FileTransport.poll
def poll(transport, timeout_s, most):
    FileTransport.poll = turn  # from the second poll on
    return first(transport, timeout_s, most)
def turn(transport, timeout_s, most):
    while True:
        pass
FileTransport.poll = poll
cli.main()
"""


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A daemon whose poll turns for ever in a library, as one whose batch could not be read did. Beside it its log."""
    store = Store(str(tmp_path / "models"))
    tiny("v1").publish(store)
    store.promote("pumps", "v1")
    (tmp_path / "sensors.jsonl").touch()
    config, log = tmp_path / "watch.yaml", tmp_path / "log"
    document = {
        "transport": "files", "files": {"directory": str(tmp_path), "follow": True}, "store": store.url,
        "watch": [{"model": "pumps"}], "http": {"port": 0}, **QUICK,
    }  # fmt: skip
    config.write_text(yaml.safe_dump(document))
    with log.open("wb") as file:
        command = [sys.executable, "-c", STUCK, "run", "--config", str(config)]
        process = subprocess.Popen(command, stderr=file, stdout=file)
        try:
            appears(log, "partition assigned")
            time.sleep(0.7)  # the next poll hangs
            yield process, log
        finally:
            process.kill()
            process.wait()


def test_a_poll_that_does_not_return_ends_the_process(stuck: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Exit code 7, a line that says how long it stood, and where it stood."""
    process, log = stuck
    assert process.wait(30) == 7
    text = log.read_text()
    assert '"the loop has not moved for 8 s"' in text
    assert '"exit_code": 7' in text
    assert all(word in text for word in ("in turn", "in tick", "in run_daemon", "serve_forever"))


def test_a_stop_during_such_a_poll_ends_the_process(stuck: tuple[subprocess.Popen[bytes], Path]) -> None:
    """SIGTERM alone is enough: the budget for stopping forces the end."""
    process, log = stuck
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 7
    assert time.monotonic() - begun < 7
    assert "it did not stop within 4 s" in log.read_text()


@pytest.mark.parametrize(
    ("started", "still_s", "interrupted", "stopped_s", "code"),
    [
        (True, 7.9, False, None, None),
        (True, 8.1, False, None, 7),
        (False, 60.0, False, None, None),  # the start has waits of its own
        (True, 0.0, False, 3.9, None),
        (True, 0.0, False, 4.1, 7),
        (False, 60.0, False, 4.1, 7),
        (True, 0.0, True, 4.1, 5),  # the broker was away: that is what was in the way
    ],
)
def test_what_counts_as_standing_still(
    started: bool, still_s: float, interrupted: bool, stopped_s: float | None, code: int | None
) -> None:
    """Progress within the patience, and a stop within its budget, end nothing."""
    now, health, stop = time.monotonic(), Health(), [False]
    with Watchdog(settings(**QUICK), health, Notifier(), lambda: stop[0], lambda _code: None) as watchdog:
        if stopped_s is not None:
            stop[0] = True
            watchdog.reason_to_end(now - stopped_s)
        health.started, health.advanced = started, now - still_s
        health.interrupted = "no delivery" if interrupted else ""
        found = watchdog.reason_to_end(now)
    assert (found and found.exit_code) == code


def test_deliveries_may_be_waited_for() -> None:
    """A commit waits three times for limits.delivery_timeout_s: no max_poll_interval_s makes that a hanging loop."""
    quick = settings(kafka=Kafka(max_poll_interval_s=1), limits=Limits(delivery_timeout_s=30))
    assert patience_s(quick) == 120
    assert patience_s(settings()) == 300
