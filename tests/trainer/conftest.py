"""What all tests of the trainer share."""

from collections.abc import Iterator

import pytest

from trainer.parallel import threads


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The recipe takes one thread by itself; parts of it called alone must not wait for each other either."""
    with threads.one_thread():
        yield
