"""A bucket in memory that fails as it is told: away, denying, slow, or giving rubbish."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

URL = "failing://models"


class EndpointConnectionError(Exception):
    """Like botocore's: of no family that Python knows."""


class FailingFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """fsspec's memory, with a store of its own, and a fault that comes before every answer."""

    protocol = "failing"
    store: dict[str, Any] = {}  # noqa: RUF012  # fsspec's way
    pseudo_dirs = [""]  # noqa: RUF012
    fault: Callable[[], object] | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("failing://", "memory://")))

    def _ask(self) -> None:
        fault = type(self).fault
        if fault is not None:
            fault()

    def info(self, path: str, **options: Any) -> Any:
        self._ask()
        return super().info(path, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        self._ask()
        return super().ls(path, detail=detail, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> Any:
        self._ask()
        return super().cat_file(path, start, end, **options)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> Any:
        self._ask()
        return super().pipe_file(path, value, mode, **options)


def register() -> None:
    """Makes failing:// known to fsspec."""
    fsspec.register_implementation("failing", FailingFileSystem, clobber=True)


def empty() -> None:
    """A store without anything in it, and without a fault."""
    FailingFileSystem.fault = None
    FailingFileSystem.store.clear()
    FailingFileSystem.pseudo_dirs[:] = [""]


@contextmanager
def failing(fault: BaseException | Callable[[], object]) -> Iterator[None]:
    """Meanwhile every question raises the exception, or calls the function first."""

    def throw() -> None:
        assert isinstance(fault, BaseException)
        raise fault

    FailingFileSystem.fault = staticmethod(throw if isinstance(fault, BaseException) else fault)
    try:
        yield
    finally:
        FailingFileSystem.fault = None
