"""The files that stand for topics: where they lie, appending to them, reading them from another process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from detector.core.ingest.rows import Record
from detector.errors import ConfigError, DataError
from detector.transports.control import parse_control
from detector.transports.interface import ControlRecord
from detector.transports.package import Span
from detector.transports.reader import FileFollower, read_records
from schemas.config import Settings
from schemas.control import RetrainRequest

_FOLLOW_WAIT_S = 0.2  # a person does not see the difference, a disk does
_CONTROL_WAIT_S = 0.5


def path_of(settings: Settings, topic: str) -> Path:
    """The file of a topic."""
    return settings.files.directory / f"{topic}.jsonl"


def locate(settings: Settings, topic: str) -> str:
    """The file's path, for a person."""
    return "standard input" if topic == "-" else str(path_of(settings, topic))


def send(settings: Settings, value: bytes, key: bytes) -> None:
    """Appends a control message in one write, for another process that follows the file. Raises ConfigError."""
    del key  # a line has none
    path = path_of(settings, settings.topics.control)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(value + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({type(error).__name__})", "check files.directory") from None


def read_topic(settings: Settings, topic: str, follow: bool) -> Iterator[bytes]:
    """A file's lines from its beginning. Raises ConfigError or DataError."""
    if topic == "-":
        raise ConfigError("this topic goes to standard output ('-'), where nobody can read it back", "name a file")
    return _lines(path_of(settings, topic), follow)


def read_span(settings: Settings, span: Span) -> Iterator[Sequence[Record]]:
    """The lines of the input as records; offsets cut them, times cannot. Raises DataError."""
    path = path_of(settings, settings.topics.input)
    begin, end = span.begin_offset or 0, span.end_offset
    try:
        for records in read_records(path, settings.topics.input, 0, settings.limits.poll_records):
            if chunk := [r for r in records if r.offset >= begin and (end is None or r.offset < end)]:
                yield chunk
    except OSError as error:
        raise DataError(
            f"the input {path} cannot be read ({type(error).__name__})", "check files.directory and topics.input"
        ) from None


def consume_control(settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
    """The control file's lines from its beginning; requests that it shows to be answered already are passed over.

    A file has no group that remembers what was done; the answers in it do.
    """
    path = path_of(settings, settings.topics.control)
    with closing(FileFollower(path)) as follower:
        old = list(chain.from_iterable(iter(follower.read, [])))
        messages = [parse_control(line) for line in old]
        answered = {getattr(message, "answers", None) for message in messages}
        for line, message in zip(old, messages, strict=True):
            if line and not (isinstance(message, RetrainRequest) and message.id in answered):
                yield ControlRecord(line, str(path))
        while True:
            idle()
            yield from (ControlRecord(line, str(path)) for line in follower.read() if line)
            time.sleep(_CONTROL_WAIT_S)


def _lines(path: Path, follow: bool) -> Iterator[bytes]:
    if not follow and not path.exists():
        raise DataError(f"there is no file {path}", "no alarm was raised yet, or the daemon never ran; --follow waits")
    with closing(FileFollower(path)) as follower:
        while True:
            lines = follower.read()
            yield from filter(None, lines)
            if not lines and not follow:
                return
            if not lines:
                time.sleep(_FOLLOW_WAIT_S)
