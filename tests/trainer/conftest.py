"""What all tests of the trainer share."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The recipe takes one thread by itself; parts of it called alone must not wait for each other either."""
    torch.set_num_threads(1)
