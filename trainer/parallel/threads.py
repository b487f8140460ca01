"""How many threads a training may use: one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks and matrices are small: more threads only wait for each other, and sums would depend on their number.

    numpy's threads spin while they wait: beside a busy process a product of matrices took 200 times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
