"""Two deployments on one real broker with the default topic names: each other's state is refused by name."""

from functools import partial
from pathlib import Path

import pytest

from detector.config import load_settings
from detector.transports import kafka
from detector.transports.package import Status
from tests.support.installation import Installation, install, story
from tests.support.kafka_client import Cluster, eventually

ROLES = ("alerts", "scores", "dead_letters", "control", "state")


def same_names(place: Installation, topic: str, group: str) -> None:
    """Moves an installation to an input and a group; all other topics stay those that another one writes to."""
    place.configure(
        kafka={"bootstrap_servers": place.cluster.bootstrap, "group": group},
        topics={"input": topic} | {role: f"{place.group}.{role}" for role in ROLES},
    )


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_two_deployments_with_the_same_state_topic_refuse_each_other(
    cluster: Cluster, store: Path, tmp_path: Path, delivery: str
) -> None:
    """The second ends with code 3 and a line that names the first; `check` said so; the first goes on as before."""
    place = install(cluster, tmp_path / "a", store, partitions=2, delivery=delivery)
    messages = story(["pump-1", "pump-2"], 30, {})
    cluster.produce(place.topic, messages[:40])
    other_topic = cluster.create(cluster.unique("other"), 2)
    cluster.produce(other_topic, messages)
    other = install(cluster, tmp_path / "b", store, 2, place.topic, place.group, delivery=delivery)
    same_names(other, other_topic, "second")
    with place.daemon() as daemon:
        place.await_committed(40)
        with other.daemon() as second:
            assert second.wait(30) == 3
        words = f"topics.state {place.group}.state is used by group {place.group} on topic {place.topic}"
        assert f"{words}, and this is second on {other_topic}" in other.ending()
        assert "name another topics.state" in other.ending()
        eventually(partial(refused, other, words), 10, "the refusal by `check`")
        cluster.produce(place.topic, messages[40:])
        place.await_committed(60)
        assert daemon.stop() == 0
    assert cluster.committed("second", other_topic) == {}
    with place.daemon() as daemon:  # its own state is its own after a restart as well
        daemon.wait_ready()
        assert daemon.stop() == 0
    same_names(other, place.topic, "second")  # the same input under another group is another deployment too
    with other.daemon() as second:
        assert second.wait(30) == 3
    assert words in other.ending()


def refused(place: Installation, words: str) -> bool:
    """Whether `check` fails with these words."""
    results = kafka.preflight(load_settings(place.config, {}), 10)
    return any(result.status is Status.FAIL and words in result.message for result in results)
