"""The daemon's life beside a broker: starting without one, losing one, stopping, reloading."""

import json
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from deploy.local.broker import Broker
from deploy.local.process import DaemonProcess
from schemas.alert import AlertState
from tests.support.embedded import embedded_alerts
from tests.support.installation import Installation, by_id, install, story
from tests.support.kafka_client import Cluster, eventually


@pytest.fixture(scope="module")
def own_broker(kafka_tools: None) -> Iterator[Broker]:
    """A broker that this module's tests stop and kill."""
    with Broker(heap_mb=512) as running:
        yield running


def ending(place: Installation) -> str:
    """The daemon's last line; a traceback anywhere fails."""
    text = place.log.read_text()
    assert "Traceback" not in text
    return text.strip().splitlines()[-1]


def test_a_broker_that_is_away_at_the_start_is_waited_for(own_broker: Broker, store: Path, tmp_path: Path) -> None:
    """The daemon starts before its broker does, and takes up its work when that answers."""
    place = install(Cluster(own_broker.bootstrap), tmp_path, store)
    messages = story(["pump-1"], 200, {100: 130})
    place.cluster.produce(place.topic, messages)
    own_broker.stop()
    with place.daemon() as daemon:
        time.sleep(3.0)
        own_broker.start()
        place.await_committed(len(messages))
        assert daemon.stop() == 0


def test_a_broker_that_stays_away_ends_the_wait_with_one_line(store: Path, tmp_path: Path, cluster: Cluster) -> None:
    """Exit code 5 after limits.broker_wait_s, the address and the remedy in the last line."""
    place = install(cluster, tmp_path, store)
    place.configure(kafka={"bootstrap_servers": "127.0.0.1:9"}, limits={"broker_wait_s": 2})
    begun = time.monotonic()
    with place.daemon() as daemon:
        assert daemon.wait(30) == 5
    assert time.monotonic() - begun < 20
    assert "no broker answers at 127.0.0.1:9" in ending(place)
    assert "correct kafka.bootstrap_servers" in ending(place)


def test_a_broker_that_dies_and_returns_loses_no_alert(own_broker: Broker, store: Path, tmp_path: Path) -> None:
    """SIGKILL to the broker while the daemon works: the same process goes on and the alerts are complete."""
    place = install(Cluster(own_broker.bootstrap), tmp_path, store)
    messages = story(["pump-1", "pump-2"], 400, {100: 130, 300: 320})
    expected = embedded_alerts(place, messages)
    half = len(messages) // 4 + 10  # in the middle of the first fault
    place.cluster.produce(place.topic, messages[:half])
    with place.daemon() as daemon:
        place.await_committed(half)
        pid = daemon.pid
        own_broker.kill()
        time.sleep(2.0)
        own_broker.start()
        place.cluster.produce(place.topic, messages[half:])
        place.await_committed(len(messages), within_s=90)
        assert daemon.pid == pid
        assert daemon.stop() == 0
    assert by_id(place.alerts()) == by_id(expected)


@pytest.mark.parametrize("away", ["killed", "frozen"])
def test_a_broker_that_is_away_is_seen_on_an_idle_feed(
    own_broker: Broker, store: Path, tmp_path: Path, away: str
) -> None:
    """/readyz says 503 with the reason within 30 s though nothing is sent, and 200 again when the broker is back."""
    place = install(Cluster(own_broker.bootstrap), tmp_path, store)
    place.cluster.produce(place.topic, story(["pump-1"], 20, {}))
    with place.daemon() as daemon:
        place.await_committed(20)
        assert readiness(place.port) == (200, [])
        begun = time.monotonic()
        (own_broker.kill if away == "killed" else own_broker.freeze)()
        eventually(lambda: readiness(place.port)[0] == 503, 30, "503")
        noticed_s = time.monotonic() - begun
        assert "no broker at 127.0.0.1" in readiness(place.port)[1][0]
        (own_broker.start if away == "killed" else own_broker.thaw)()
        begun = time.monotonic()
        eventually(lambda: readiness(place.port) == (200, []), 30, "200 again")
        print(f"{away}: 503 after {noticed_s:.1f} s, 200 again after {time.monotonic() - begun:.1f} s")
        place.cluster.produce(place.topic, story(["pump-1"], 20, {}))
        place.await_committed(40)
        assert daemon.stop() == 0


def readiness(port: int) -> tuple[int, list[str]]:
    """The status of /readyz and the reasons that it gives."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)["reasons"]
    except HTTPError as error:
        with error:
            return error.code, json.load(error)["reasons"]


def test_a_missing_topic_is_named_with_the_command_that_makes_it(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Exit code 5, one line."""
    place = install(cluster, tmp_path, store)
    place.configure(topics={"input": "nobody-made-this"})
    with place.daemon() as daemon:
        assert daemon.wait(60) == 5
    assert "nobody-made-this" in ending(place)
    assert "watchkeeper topics --create" in ending(place)


def test_sigterm_drains_under_load(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Stopped in the middle of a feed: exit 0 within the budget, and what was processed is committed and alerted."""
    place = install(cluster, tmp_path, store, limits={"checkpoint_s": 3600})
    messages = story([f"pump-{n}" for n in range(10)], 3000, {begin: begin + 30 for begin in range(100, 2900, 100)})
    expected = by_id(embedded_alerts(place, messages))
    cluster.produce(place.topic, messages)
    with place.daemon() as daemon:
        eventually(partial(processed, daemon), what="records")
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 8 + 2  # limits.drain_s and the interpreter's own end
    done = place.committed()
    assert done > 0
    got = by_id(place.alerts())
    due = {key for key, alert in expected.items() if alert.data.origin.last_offset < done}
    assert due <= set(got)
    assert all(expected[key] == alert for key, alert in got.items())


def test_sighup_takes_up_a_valid_configuration(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """A longer on-delay counts from the reload on, in the same process."""
    place = install(cluster, tmp_path, store)
    messages = story(["pump-1"], 400, {100: 120, 300: 320})
    cluster.produce(place.topic, messages[:200])
    with place.daemon() as daemon:
        place.await_committed(200)
        place.configure(alarms={"on_delay_s": 60})
        daemon.signal(signal.SIGHUP)
        eventually(lambda: daemon.metric("watchkeeper_config_reloads_total", result="taken") == 1, what="the reload")
        cluster.produce(place.topic, messages[200:])
        place.await_committed(400)
        assert daemon.stop() == 0
    opened = [alert for alert in place.alerts() if alert.data.state is AlertState.OPENED]
    assert len(opened) == 1
    assert opened[0].data.origin.first_offset < 120


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"alarms": {"on_dely_s": 60}}, "did you mean alarms.on_delay_s"),
        ({"alarms": {"on_delay_s": -1}}, "alarms.on_delay_s"),
        ({"feed": {"asset": "machine"}}, "a running daemon cannot change feed.asset"),
    ],
    ids=["unknown key", "bad value", "another feed"],
)
def test_sighup_with_a_bad_configuration_keeps_the_old_one(
    cluster: Cluster, store: Path, tmp_path: Path, sections: dict[str, object], reason: str
) -> None:
    """The refusal is logged and counted, and the watch goes on as before."""
    place = install(cluster, tmp_path, store)
    messages = story(["pump-1"], 400, {100: 120, 300: 320})
    cluster.produce(place.topic, messages[:200])
    with place.daemon() as daemon:
        place.await_committed(200)
        place.configure(**sections)
        daemon.signal(signal.SIGHUP)
        eventually(lambda: daemon.metric("watchkeeper_config_reloads_total", result="refused") == 1, what="a refusal")
        cluster.produce(place.topic, messages[200:])
        place.await_committed(400)
        assert daemon.stop() == 0
    assert reason in place.log.read_text()
    assert sum(alert.data.state is AlertState.OPENED for alert in place.alerts()) == 2


def processed(daemon: DaemonProcess) -> bool:
    """Whether the daemon has processed anything."""
    daemon.wait_ready()
    return daemon.metric("watchkeeper_records_total") > 0
