"""Compression on a real broker: every codec is read, and one whose library is missing is a line and exit code 5."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from kafka import codec as client

from deploy.local.process import DaemonProcess
from detector.config import load_settings
from detector.errors import BrokerError
from detector.transports import kafka
from detector.transports.package import Span, Status
from tests.support.embedded import embedded_alerts
from tests.support.installation import Installation, announce, by_id, install, story
from tests.support.kafka_client import Cluster, eventually

CODECS = ("gzip", "snappy", "lz4", "zstd", None)  # None last: the start before it reads state in zstd


def without_zstd(place: Installation, folder: Path) -> DaemonProcess:
    """The daemon in an environment that has no `zstandard`."""
    folder.mkdir()
    (folder / "zstandard.py").write_text("raise ImportError\n")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return DaemonProcess(place.config, place.port, place.log, {"PYTHONPATH": path})


def test_every_codec_is_read_as_input_and_as_state(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """One topic carries all five, the state topic one after the other; a restart in between changes no alert."""
    place = install(cluster, tmp_path, store)
    messages = story(["pump-1", "pump-2"], 250, {60: 80, 95: 110, 145: 160})
    expected = embedded_alerts(place, messages)
    for turn, codec in enumerate(CODECS):
        cluster.configure(f"{place.group}.state", {"compression.type": codec or "uncompressed"})
        cluster.produce(place.topic, messages[turn * 100 : turn * 100 + 100], compression=codec)
        with place.daemon() as daemon:
            place.await_committed(turn * 100 + 100)
            assert daemon.stop() == 0
    assert by_id(place.alerts()) == by_id(expected)


def test_a_batch_of_a_missing_codec_ends_the_daemon_with_one_line(
    cluster: Cluster, store: Path, tmp_path: Path
) -> None:
    """Exit code 5, the codec and the package, while it reads and at the start; nothing spins."""
    place = install(cluster, tmp_path, store)
    messages = story(["pump-1"], 60, {})
    cluster.produce(place.topic, messages[:20])
    with without_zstd(place, tmp_path / "input") as daemon:
        place.await_committed(20)
        cluster.produce(place.topic, messages[20:40], compression="zstd")
        assert daemon.wait(20) == 5
    assert "polling failed: a batch is compressed with zstd" in place.ending()
    assert "pip install zstandard" in place.ending()


def test_state_of_a_missing_codec_ends_the_start_with_one_line(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Exit code 5: the state is there and cannot be read; beginning anew would be silent."""
    place = install(cluster, tmp_path, store)
    cluster.configure(f"{place.group}.state", {"compression.type": "zstd"})
    cluster.produce(place.topic, story(["pump-1"], 20, {}))
    with place.daemon() as daemon:
        place.await_committed(20)
        assert daemon.stop() == 0
    with without_zstd(place, tmp_path / "state") as daemon:
        assert daemon.wait(20) == 5
    assert "reading the state of partition 0 failed: a batch is compressed with zstd" in place.ending()


def test_readers_and_check_name_a_missing_codec(
    cluster: Cluster, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`alerts`, the worker, a span of history and `check`: one line each, and none waits for ever."""
    place = install(cluster, tmp_path, store)
    settings = load_settings(place.config, {})
    for topic in (f"{place.group}.alerts", f"{place.group}.control", place.topic):
        cluster.configure(topic, {"compression.type": "zstd"})
    cluster.produce(f"{place.group}.alerts", story(["pump-1"], 1, {}))
    announce(place, store, "v1")
    cluster.produce(place.topic, story(["pump-1"], 20, {}))
    readers: dict[str, Callable[[], Iterable[object]]] = {
        "alerts": lambda: kafka.read_topic(settings, f"{place.group}.alerts", False),
        "worker": lambda: kafka.consume_control(settings, lambda: None),
        "span": lambda: kafka.read_span(settings, Span()),
    }
    for read in readers.values():
        assert next(iter(read()))  # with the library there is something to read
    monkeypatch.setattr(client, "zstd", None)
    for name, read in readers.items():
        with pytest.raises(BrokerError, match="compressed with zstd") as raised:
            next(iter(read()))
        assert "pip install zstandard" in raised.value.remedy, name

    def failures() -> set[str]:
        results = kafka.preflight(settings, 10)
        return {result.subject for result in results if result.status is Status.FAIL and "zstd" in result.message}

    named = {f"topic {place.topic}", f"topic {place.group}.alerts", f"topic {place.group}.control"}
    eventually(lambda: failures() == named, 10, "the topics that `check` names")
