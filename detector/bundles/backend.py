"""The file system behind the store, through fsspec: whatever a backend raises becomes one kind of error, one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from detector.errors import ConfigError, StoreError, WatchkeeperError


def open_file_system(url: str) -> tuple[Any, str]:
    """The file system behind a URL, and the path in it."""
    try:
        file_system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"the store {url} needs a library that is not here", str(error)[:160]) from None
    except ValueError as error:
        raise ConfigError(
            f"the store {url} is neither a folder nor a URL ({str(error)[:80]})", "correct 'store'"
        ) from None
    except Exception as error:  # noqa: BLE001  # a backend may look for its credentials here, and has its own errors
        raise StoreError(f"the store {url} cannot be opened ({_reason(error)})", "check its credentials") from None
    return file_system, str(root)


@contextmanager
def reaching(problem: str, remedy: str) -> Iterator[None]:
    """Around a question to a file system: whatever its backend raises is a StoreError with the exception's name."""
    try:
        yield
    except WatchkeeperError:
        raise
    except Exception as error:  # noqa: BLE001  # botocore, aiohttp, gcsfs, adlfs: no common ancestor
        raise StoreError(f"{problem} ({_reason(error)})", remedy) from None


def _reason(error: Exception) -> str:
    name = type(error).__name__
    return f"{name}: {error.strerror}" if isinstance(error, OSError) and error.strerror else name
