"""The testbed that the fault tests share."""

from collections.abc import Iterator

import pytest

from tests.reliability.faults.testbed import FaultTestbed


@pytest.fixture(scope="session")
def testbed(kafka_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultTestbed]:
    """A broker of the matrix's own: faults stop, freeze and kill it."""
    with FaultTestbed(tmp_path_factory.mktemp("faults")) as running:
        yield running
