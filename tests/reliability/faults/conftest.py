"""The bench that the fault tests share."""

from collections.abc import Iterator

import pytest

from tests.reliability.faults.bench import Bench


@pytest.fixture(scope="session")
def bench(kafka_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A broker of the matrix's own: faults stop, freeze and kill it."""
    with Bench(tmp_path_factory.mktemp("faults")) as running:
        yield running
