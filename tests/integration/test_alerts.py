"""Records in, alerts out, over a real broker and with the daemon as a process of its own."""

from functools import partial
from pathlib import Path

from deploy.local.process import DaemonProcess
from schemas.alert import AlertState
from tests.support.embedded import embedded_alerts
from tests.support.installation import by_id, install, story
from tests.support.kafka_client import Cluster, eventually

FAULTS = {100: 130, 300: 320, 500: 560}


def test_kafka_gives_the_alerts_of_the_embedded_run(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """One topic of one partition and one file hold the same records: the alerts are equal, ids included."""
    place = install(cluster, tmp_path / "k", store)
    messages = story(["pump-1", "pump-2"], 600, FAULTS)
    expected = embedded_alerts(place, messages)
    cluster.produce(place.topic, messages)
    with place.daemon() as daemon:
        place.await_committed(len(messages))
        assert daemon.stop() == 0
    assert by_id(place.alerts()) == by_id(expected)
    assert sum(alert.data.state is AlertState.OPENED for alert in expected) == 2 * len(FAULTS)


def test_alerts_are_equal_although_the_daemon_is_killed_half_way(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of a fault, twice, and start again: after duplicates are removed by id, nothing differs."""
    place = install(cluster, tmp_path / "k", store)
    messages = story(["pump-1", "pump-2"], 600, FAULTS)
    expected = embedded_alerts(place, messages)
    for begin, end in ((0, 620), (620, 1060)):
        cluster.produce(place.topic, messages[begin:end])
        with place.daemon() as daemon:
            eventually(partial(processed, daemon, 1), what="records")
            daemon.kill()
    cluster.produce(place.topic, messages[1060:])
    with place.daemon() as daemon:
        place.await_committed(len(messages))
        assert daemon.stop() == 0
    assert by_id(place.alerts()) == by_id(expected)


def test_an_orderly_restart_repeats_nothing(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """SIGTERM commits what was done: the open incident goes on after the restart, and no alert comes twice."""
    place = install(cluster, tmp_path / "k", store)
    messages = story(["pump-1"], 600, FAULTS)
    expected = embedded_alerts(place, messages)
    half = 310  # in the middle of the second fault
    cluster.produce(place.topic, messages[:half])
    with place.daemon() as daemon:
        eventually(lambda: processed(daemon, half), what="the first half")
        assert daemon.stop() == 0
    assert place.committed() == half
    cluster.produce(place.topic, messages[half:])
    with place.daemon() as daemon:
        place.await_committed(len(messages))
        assert daemon.stop() == 0
    assert [alert.id for alert in place.alerts()] == [alert.id for alert in expected]


def test_assets_over_many_partitions_are_each_alarmed_once(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Keyed records over four partitions: every asset's faults open and close, each once."""
    place = install(cluster, tmp_path / "k", store, partitions=4)
    assets = [f"pump-{number}" for number in range(12)]
    messages = story(assets, 200, {100: 130})
    cluster.produce(place.topic, messages)
    with place.daemon() as daemon:
        place.await_committed(len(messages))
        assert daemon.stop() == 0
    states = {(alert.subject, alert.data.state) for alert in place.alerts()}
    assert {(asset, state) for asset in assets for state in (AlertState.OPENED, AlertState.CLOSED)} <= states
    opened = [alert for alert in place.alerts() if alert.data.state is AlertState.OPENED]
    assert len(opened) == len(assets)


def test_two_daemons_share_the_partitions(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """A second member joins in the middle and the first leaves: open incidents move with their partitions."""
    place = install(cluster, tmp_path / "k", store, partitions=4)
    assets = [f"pump-{number}" for number in range(12)]
    messages = story(assets, 300, {100: 250})
    half = len(assets) * 150  # every incident is open
    cluster.produce(place.topic, messages[:half])
    with place.daemon() as first:
        place.await_committed(half)
        second_place = install(cluster, tmp_path / "second", store, topic=place.topic)
        with second_place.daemon() as second:
            second.wait_ready()
            eventually(lambda: second.metric("watchkeeper_partitions_assigned") == 2, what="two partitions each")
            assert first.stop() == 0
            cluster.produce(place.topic, messages[half:])
            place.await_committed(len(messages))
            assert second.stop() == 0
    opened = [alert for alert in by_id(place.alerts()).values() if alert.data.state is AlertState.OPENED]
    closed = [alert for alert in by_id(place.alerts()).values() if alert.data.state is AlertState.CLOSED]
    assert sorted(alert.subject for alert in opened) == sorted(assets)
    assert {alert.data.incident for alert in opened} == {alert.data.incident for alert in closed}


def processed(daemon: DaemonProcess, records: int) -> bool:
    """Whether the daemon has processed so many records."""
    daemon.wait_ready()
    return daemon.metric("watchkeeper_records_total") >= records
