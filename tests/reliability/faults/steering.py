"""Faults of those who steer the daemon: messages on the control topic, and its configuration."""

import json
import re
import signal
from pathlib import Path

import yaml

from tests.reliability.faults.bench import Bench
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import harm
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
_RUBBISH = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[" * 100_000,
    b'{"type": ' * 50_000,
    json.dumps({**_ANNOUNCED, "version": 1, "model_version": "x" * 900_000, "odd": 1}).encode(),
    json.dumps({**_ANNOUNCED, "version": 1, "manifest_sha256": "\n\x1b[2J"}).encode(),
]


@harm("control message from the future version")
def from_the_future(plant: Plant, bench: Bench) -> None:
    """A newer sender among older daemons: refused with the place it came from, counted, and nothing stops."""
    plant.start()
    plant.works()
    plant.control(*(json.dumps(message).encode() for message in _FUTURE))
    eventually(lambda: plant.metric("control_refused_total") == len(_FUTURE), what="refusals")
    origins = re.findall(rf'"origin": "{re.escape(plant.run)}\.control/\d+/\d+"', plant.log())
    assert len(set(origins)) == len(_FUTURE), plant.log()[-2000:]


@harm("rubbish on the control topic")
def rubbish_on_control(plant: Plant, bench: Bench) -> None:
    """Whoever may write there may write anything: refused, counted, none of it in the log, and no model taken up."""
    plant.start()
    plant.works()
    for _ in range(bench.kills):
        plant.control(*_RUBBISH, None)
    eventually(lambda: plant.metric("control_refused_total") == bench.kills * len(_RUBBISH), what="refusals")
    assert plant.metric("model_swaps_total") == 0
    assert max(map(len, plant.log().splitlines())) < 1000


@harm("SIGHUP with a bad configuration")
def bad_configuration(plant: Plant, bench: Bench) -> None:
    """Each is refused whole and said in one line; the old one goes on."""
    plant.start()
    plant.works()
    config = plant.members["a"].config
    good = config.read_text()
    _reload(plant, config, "limits: {poll_records: [", "refused", 1)
    _reload(plant, config, "limits: {poll_record: 5}", "refused", 2)
    _reload(plant, config, "\x00", "refused", 3)
    _reload(plant, config, json.dumps(yaml.safe_load(good) | {"delivery": "files"}), "refused", 4)
    other = {"watch": [{"model": "plain"}], "limits": {"poll_records": 1}}
    _reload(plant, config, json.dumps(yaml.safe_load(good) | other), "refused", 5)
    config.unlink()
    _ask(plant, "refused", 6)
    config.write_text(good)


@harm("SIGHUP with a good configuration")
def good_configuration(plant: Plant, bench: Bench) -> None:
    """Taken up between two polls, again and again, and after a SIGKILL from the file."""
    plant.start()
    plant.works()
    config = plant.members["a"].config
    document = yaml.safe_load(config.read_text())
    for number in range(bench.kills):
        document["limits"] |= {"poll_records": 50 + number, "checkpoint_s": 0.1, "batch_windows": 16 + number}
        _reload(plant, config, json.dumps(document), "taken", number + 1)
    plant.kill()


def _reload(plant: Plant, config: Path, text: str, result: str, times: int) -> None:
    config.write_text(text)
    _ask(plant, result, times)


def _ask(plant: Plant, result: str, times: int) -> None:
    plant.members["a"].signal(signal.SIGHUP)
    eventually(lambda: plant.metric("config_reloads_total", result=result) == times, what=f"a reload that is {result}")
