"""Compression: which codecs a topic may carry, and which library reads each.

kafka-python imports these libraries where they are there and works without them until a batch needs one. All of them
are dependencies of ours; an installation that was put together by hand, or a platform without a wheel, may lack one.
"""

from collections.abc import Callable

from kafka import codec as client
from kafka.errors import UnsupportedCodecError

from detector.errors import BrokerError

# compression.type -> (whether the client can read it, the package that it needs)
CODECS: dict[str, tuple[Callable[[], bool], str]] = {
    "gzip": (client.has_gzip, "Python's zlib"),
    "snappy": (client.has_snappy, "python-snappy"),
    "lz4": (client.has_lz4, "lz4"),
    "zstd": (client.has_zstd, "zstandard"),
}


def missing_library(compression: str) -> str | None:
    """The package that a topic's compression.type needs and that is not installed; None where nothing is missing."""
    available, package = CODECS.get(compression, (lambda: True, ""))
    return None if available() else package


def missing_codec(doing: str, error: BaseException) -> BrokerError | None:
    """Which codec cannot be read, where that is the error; else None. Asking again gives the same batch again."""
    if not isinstance(error, UnsupportedCodecError):
        return None
    text = str(error)
    name = next((name for name in CODECS if name in text), None)
    if name is None:
        return BrokerError(
            f"{doing} failed: a batch is compressed in a way that this client does not know ({text[:80]})",
            f"let producers use one of {', '.join(CODECS)}, or none",
        )
    return BrokerError(
        f"{doing} failed: a batch is compressed with {name}, and the library for it is not installed",
        f"run: pip install {CODECS[name][1]}, in the environment that runs watchkeeper",
    )
