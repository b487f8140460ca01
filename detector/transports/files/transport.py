"""The embedded transport: JSON lines in, JSON lines out, state in one file. One partition; offsets count lines.

A run over a file ends at its end; with `files.follow` it waits for more lines, as a daemon on a topic would.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import msgspec

from detector import disk
from detector.core.state.codec import Owner
from detector.errors import ConfigError, DataError
from detector.transports.files.input import InputFile, InputPipe, InputPosition, open_input
from detector.transports.files.lock import StateLock
from detector.transports.files.topics import path_of
from detector.transports.interface import ControlRecord, Message, Polled, Stream, nothing
from detector.transports.messages import dead_letter_line
from detector.transports.reader import PARTITION, FileFollower, LineRecord, line_records
from schemas.config import Settings

STATE_FILE_VERSION = 1
_EOF_WAIT_S = 0.02
_LOOK_BACK = 65_536


class _StateFile(msgspec.Struct):
    version: int
    next_offset: int
    entries: dict[str, bytes]
    input: InputPosition | None = None  # None: of a watchkeeper that counted the lines of one file


class FileTransport:
    """Implements Transport over files. Names in settings.topics are files NAME.jsonl in settings.files.directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._follow = settings.files.follow
        self._lock = StateLock(settings)
        self._input = _open_input(settings)
        self._outputs: dict[Stream, IO[bytes]] = {}
        self._state_path = settings.files.directory / f"{settings.topics.state}.msgpack"
        self._entries: dict[bytes, bytes] = {}
        self._committed: tuple[int, InputPosition | None] = (0, None)  # next offset and where it lies
        self._skip_to = 0
        self._announced = False
        self._control_path = path_of(settings, settings.topics.control)
        self._control = FileFollower(self._control_path, at_end=True)

    @property
    def topic(self) -> str:
        """The input's name."""
        return self._settings.topics.input

    @property
    def owner(self) -> Owner:
        """The input's name; files have no groups."""
        return Owner(topic=self.topic)

    def poll(self, timeout_s: float, most: int) -> Polled:
        """The next lines; waits at the end of a followed file."""
        if not self._announced:
            self._announced = True
            return Polled(assigned=frozenset({PARTITION}))
        deadline = time.monotonic() + timeout_s
        while True:
            lines = self._input.read(most)
            ended = not lines and self._input.ended and not self._follow
            if ended:
                lines = self._input.finish()
            if lines or ended:
                return Polled(records=self._records(lines), ended=ended)
            if time.monotonic() >= deadline:
                return Polled()
            time.sleep(_EOF_WAIT_S)

    def restore(self, partition: int, _advanced: Callable[[], None] = nothing) -> Mapping[bytes, bytes]:
        """The state file's entries."""
        del partition
        if not self._state_path.exists():
            return {}
        disk.refuse_open_to_others(self._state_path, DataError)
        try:
            state = msgspec.msgpack.decode(self._state_path.read_bytes(), type=_StateFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f"the state file {self._state_path} cannot be read ({type(error).__name__})",
                "restore it from a backup, or remove it to begin anew",
            ) from None
        if state.version != STATE_FILE_VERSION:
            raise DataError(
                f"the state file {self._state_path} has version {state.version}, not {STATE_FILE_VERSION}",
                "use the watchkeeper that wrote it, or remove it to begin anew",
            )
        self._entries = {key.encode(): value for key, value in state.entries.items()}
        self._committed = state.next_offset, state.input
        return self._entries

    def resume(self, partition: int, offset: int | None) -> int:
        """Goes on where the state stands, in the file that it names; passes over other lines before `offset`."""
        del partition
        self._skip_to = offset or 0
        committed, position = self._committed
        self._input.resume(position if committed == offset else None, self._skip_to)
        return self._skip_to

    def send(self, message: Message) -> None:
        """Appends a line; the operating system has it at once, so that whoever follows the file sees it."""
        if message.stream is Stream.STATE:
            if message.key is not None and message.value is not None:
                self._entries[message.key] = message.value
            return
        line = dead_letter_line(message) if message.stream is Stream.DEAD_LETTERS else message.value
        if message.stream not in self._outputs:
            self._outputs[message.stream] = _open_output(self._settings, message.stream)
        _append(self._outputs[message.stream], (line or b"null") + b"\n", message.stream)

    def flush(self, timeout_s: float) -> None:
        """Hands all lines to the operating system."""
        del timeout_s
        for file in self._outputs.values():
            file.flush()

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> None:
        """Replaces the state file in one step, after the outputs are on the disk."""
        del timeout_s
        if PARTITION not in offsets:
            return
        for stream, file in self._outputs.items():
            if file is not sys.stdout.buffer and stream is not Stream.CONTROL:
                os.fsync(file.fileno())
        entries = {key.decode(): value for key, value in self._entries.items()}
        data = msgspec.msgpack.encode(_StateFile(STATE_FILE_VERSION, offsets[PARTITION], entries, self._input.position))
        try:
            disk.replace(self._state_path, data, mode=0o600)
        except OSError as error:
            problem = f"the state file {self._state_path} cannot be written ({error.strerror})"
            raise DataError(problem, "free some space") from None

    def recover(self) -> None:
        """Never asked for: a disk confirms, or the daemon ends and goes on from the state file."""

    def control(self) -> list[ControlRecord]:
        """Lines that were appended to the control file."""
        return [ControlRecord(line, str(self._control_path)) for line in self._control.read() if line]

    def close(self, timeout_s: float) -> None:
        """Closes the files."""
        self.flush(timeout_s)
        self._input.close()
        self._control.close()
        for file in self._outputs.values():
            if file is not sys.stdout.buffer:
                file.close()
        self._lock.release()

    def _records(self, lines: list[bytes]) -> list[LineRecord]:
        begin = self._input.line - len(lines)
        skipped = min(max(self._skip_to - begin, 0), len(lines))
        return line_records(self.topic, begin + skipped, lines[skipped:])


def _open_input(settings: Settings) -> InputFile | InputPipe:
    name = settings.topics.input
    if name == "-":
        return InputPipe(sys.stdin.buffer)
    path = path_of(settings, name)
    deadline = time.monotonic() + (settings.limits.broker_wait_s if settings.files.follow else 0.0)
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    if path.exists() and not path.is_file():
        return InputPipe(open_input(path))
    return InputFile(path)


def _append(file: IO[bytes], data: bytes, stream: Stream) -> None:
    """A disk that is full takes a part of a line, and says so only when it is given the rest."""
    try:
        taken = file.write(data)
        while taken < len(data):
            taken += file.write(data[taken:])
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"the file of {stream.value} cannot be written ({error.strerror})", "free some space") from None


def _cut_torn_line(path: Path) -> None:
    """Takes away what a full disk left of a line. It was never committed: it comes again, and whole."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(end - _LOOK_BACK, 0)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)


def _open_output(settings: Settings, stream: Stream) -> IO[bytes]:
    name = getattr(settings.topics, stream.value)
    if name == "-":
        return sys.stdout.buffer
    path = path_of(settings, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stream is not Stream.CONTROL:  # others append there
            _cut_torn_line(path)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({type(error).__name__})", "check files.directory") from None
