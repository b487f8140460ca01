"""Faults of those who steer the daemon: messages on the control topic, and its configuration."""

import json
import re
import signal
from pathlib import Path

import yaml

from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.registry import run_fault
from tests.reliability.faults.testbed import FaultTestbed
from tests.support.kafka_client import eventually

_ANNOUNCED = {
    "type": "model_published",
    "id": "announce",
    "model": "pump",
    "model_version": "v2",
    "manifest_sha256": "0" * 64,
    "at": "2026-03-01T00:00:00Z",
}
_FUTURE = [
    {**_ANNOUNCED, "version": 2},
    {**_ANNOUNCED, "version": 1, "rollout": "one asset in ten"},
    {"type": "watch_paused", "version": 1, "id": "pause", "at": "2026-03-01T00:00:00Z"},
]
_UNREADABLE = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[" * 100_000,
    b'{"type": ' * 50_000,
    json.dumps({**_ANNOUNCED, "version": 1, "model_version": "x" * 900_000, "odd": 1}).encode(),
    json.dumps({**_ANNOUNCED, "version": 1, "manifest_sha256": "\n\x1b[2J"}).encode(),
]


@run_fault("control message from the future version")
def from_the_future(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """A newer sender among older daemons: refused with the place it came from, counted, and nothing stops."""
    daemons.start()
    daemons.works()
    daemons.control(*(json.dumps(message).encode() for message in _FUTURE))
    eventually(lambda: daemons.metric("control_refused_total") == len(_FUTURE), what="refusals")
    origins = re.findall(rf'"origin": "{re.escape(daemons.run)}\.control/\d+/\d+"', daemons.log())
    assert len(set(origins)) == len(_FUTURE), daemons.log()[-2000:]


@run_fault("rubbish on the control topic")
def unreadable_on_control(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Whoever may write there may write anything: refused, counted, none of it in the log, and no model taken up."""
    daemons.start()
    daemons.works()
    for _ in range(testbed.kills):
        daemons.control(*_UNREADABLE, None)
    eventually(lambda: daemons.metric("control_refused_total") == testbed.kills * len(_UNREADABLE), what="refusals")
    assert daemons.metric("model_swaps_total") == 0
    assert max(map(len, daemons.log().splitlines())) < 1000


@run_fault("SIGHUP with a bad configuration")
def bad_configuration(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Each is refused whole and said in one line; the old one goes on."""
    daemons.start()
    daemons.works()
    config = daemons.members["a"].config
    good = config.read_text()
    _reload(daemons, config, "limits: {poll_records: [", "refused", 1)
    _reload(daemons, config, "limits: {poll_record: 5}", "refused", 2)
    _reload(daemons, config, "\x00", "refused", 3)
    _reload(daemons, config, json.dumps(yaml.safe_load(good) | {"delivery": "files"}), "refused", 4)
    other = {"watch": [{"model": "plain"}], "limits": {"poll_records": 1}}
    _reload(daemons, config, json.dumps(yaml.safe_load(good) | other), "refused", 5)
    config.unlink()
    _ask(daemons, "refused", 6)
    config.write_text(good)


@run_fault("SIGHUP with a good configuration")
def good_configuration(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Taken up between two polls, again and again, and after a SIGKILL from the file."""
    daemons.start()
    daemons.works()
    config = daemons.members["a"].config
    document = yaml.safe_load(config.read_text())
    for number in range(testbed.kills):
        document["limits"] |= {"poll_records": 50 + number, "checkpoint_s": 0.1, "batch_windows": 16 + number}
        _reload(daemons, config, json.dumps(document), "taken", number + 1)
    daemons.kill()


def _reload(daemons: DaemonRun, config: Path, text: str, result: str, times: int) -> None:
    config.write_text(text)
    _ask(daemons, result, times)


def _ask(daemons: DaemonRun, result: str, times: int) -> None:
    daemons.members["a"].signal(signal.SIGHUP)
    eventually(
        lambda: daemons.metric("config_reloads_total", result=result) == times, what=f"a reload that is {result}"
    )
