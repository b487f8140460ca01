"""The broker that demo, tests and benchmark start by themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.broker import Broker
from detector.errors import BrokerError
from tests.support.kafka_client import Cluster, Message


@pytest.fixture
def own_broker(kafka_tools: None, tmp_path: Path) -> Iterator[Broker]:
    """A broker that a test may kill."""
    with Broker(tmp_path / "kafka", heap_mb=512) as running:
        yield running


def test_a_killed_broker_comes_back_on_its_port_with_every_acknowledged_record(own_broker: Broker) -> None:
    """SIGKILL and start again: same bootstrap, nothing that was acknowledged is lost."""
    cluster = Cluster(own_broker.bootstrap)
    topic = cluster.create("kept", partitions=2)
    cluster.produce(topic, [Message(f"{n}".encode(), partition=n % 2) for n in range(100)])
    own_broker.kill()
    own_broker.start()
    assert own_broker.bootstrap == cluster.bootstrap
    values = {int(read.value or b"-1") for read in cluster.read_all(topic)}
    assert values == set(range(100))


def test_temporary_storage_is_removed(kafka_tools: None) -> None:
    """A broker without a directory of its own leaves nothing behind."""
    with Broker(heap_mb=512) as running:
        directory = running.directory
        assert directory.is_dir()
    assert not directory.exists()


def test_a_broker_that_cannot_start_says_where_its_log_is(kafka_tools: None, tmp_path: Path) -> None:
    """A setting that Kafka refuses ends in one line, not in a wait for the deadline."""
    broken = Broker(tmp_path / "kafka", heap_mb=512)
    broken.properties["num.io.threads"] = "none"
    with pytest.raises(BrokerError) as caught:
        broken.start()
    assert "Kafka" in caught.value.problem
    assert "\n" not in str(caught.value)


def test_missing_java_is_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Java on the PATH the reason is one line that can stand in a skipped test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(jars.JavaMissingError) as caught:
        jars.require_java()
    assert str(caught.value) == "there is no java on the PATH: install a JDK 17"


def test_missing_maven_is_named_only_when_the_jars_are_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Maven is needed once; a filled cache needs none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    cache = tmp_path / "libs"
    with pytest.raises(jars.JavaMissingError, match="no mvn on the PATH"):
        jars.fetch_libs(cache)
    cache.mkdir()
    assert jars.fetch_libs(cache) == cache


def test_an_old_java_is_refused_by_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kafka 4 does not start on Java 11; saying so beats its stack trace."""
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(jars.JavaMissingError, match="version 11, Kafka 4 needs 17"):
        jars.require_java()
