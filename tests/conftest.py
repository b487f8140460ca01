"""Fixtures that need a real Apache Kafka. Without Java or Maven they skip on a person's machine and fail in CI."""

from collections.abc import Iterator

import pytest

from deploy.local.broker import Broker
from deploy.local.jars import JavaMissingError, fetch_libs, require_java
from tests.support.kafka_client import Cluster
from tests.support.tools import missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that asks for a broker, so that `-m "not kafka"` leaves them out."""
    for item in items:
        if {"kafka_tools", "broker", "cluster", "testbed"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka_tools() -> None:
    """Java and Kafka's jars are there; else skips with the reason, or fails where CI is set."""
    try:
        require_java()
        fetch_libs()
    except JavaMissingError as error:
        missing(f"no Apache Kafka: {error.problem}", error.remedy)


@pytest.fixture(scope="session")
def broker(kafka_tools: None) -> Iterator[Broker]:
    """A broker that all tests of a process share; a test that kills one starts its own."""
    with Broker() as running:
        yield running


@pytest.fixture(scope="session")
def cluster(broker: Broker) -> Cluster:
    """The shared broker, seen by a client."""
    return Cluster(broker.bootstrap)
