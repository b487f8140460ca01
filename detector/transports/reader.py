"""The one reader of JSON lines: files that are whole, files that grow, standard input."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from detector.errors import DataError

PARTITION = 0  # files have one
_LONGEST_LINE = 64 << 20  # bytes; past this a line is cut: it is not a record
_LINES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One line as a record; the offset is the line's number, from 0."""

    topic: str
    offset: int
    value: bytes
    partition: int = PARTITION
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def line_records(topic: str, first: int, lines: Sequence[bytes]) -> list[LineRecord]:
    """Lines as records; a blank line is not a record, but it keeps its number. first: the first line's number."""
    return [LineRecord(topic, number, line) for number, line in enumerate(lines, first) if line]


def read_records(path: Path, topic: str, first: int, chunk: int) -> Iterator[list[LineRecord]]:
    """All lines of a file as records, in chunks. first: the first line's number. Raises OSError."""
    with path.open("rb") as file:
        reader = LineReader(file)
        while lines := reader.read(chunk) or reader.finish():
            if records := line_records(topic, first, lines):
                yield records
            first += len(lines)


class LineReader:
    """Reads whole lines from a file or standard input as they come; half a line waits for its end."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._rest = b""
        self.ended = False  # the last read came to the end of what there is

    def read(self, most: int) -> list[bytes]:
        """Up to `most` lines without their newlines."""
        lines: list[bytes] = []
        self.ended = False
        while len(lines) < most:
            line = self._source.readline(_LONGEST_LINE)
            if not line:
                self.ended = True
                break
            self._rest += line
            if self._rest.endswith(b"\n") or len(self._rest) >= _LONGEST_LINE:
                lines.append(self._rest.rstrip(b"\r\n"))
                self._rest = b""
        return lines

    @property
    def half(self) -> int:
        """Bytes of a line that has not ended yet."""
        return len(self._rest)

    def finish(self) -> list[bytes]:
        """What stands after the last newline, of a file that nobody writes any more."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def close(self) -> None:
        """Closes a file; standard input stays open."""
        if self._source is not sys.stdin.buffer:
            self._source.close()


class FileFollower:
    """Lines of a file that another process writes: it may not be there yet, and it may begin anew."""

    def __init__(self, path: Path, *, at_end: bool = False) -> None:
        """at_end: passes over what the file holds now. Raises DataError."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._reader: LineReader | None = None
        if at_end and path.exists():
            self._open().seek(0, os.SEEK_END)

    def read(self, most: int = _LINES_AT_ONCE) -> list[bytes]:
        """Up to `most` whole lines that came since the last call; never blocks for more. Raises DataError."""
        try:
            if self._is_new():
                if self._reader is not None and (left := self._reader.read(most)):
                    return left  # of a file that lost its name
                self._open()
            return [] if self._reader is None else self._reader.read(most)
        except OSError as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def _is_new(self) -> bool:
        """Whether there is a file that is not the one in hand, or that somebody emptied."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        ours = os.fstat(self._file.fileno())
        return not os.path.samestat(there, ours) or there.st_size < self._file.tell()

    def _open(self) -> IO[bytes]:
        self.close()
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        self._reader = LineReader(self._file)
        return self._file

    def _unreadable(self, error: OSError) -> DataError:
        return DataError(f"{self._path} cannot be read ({type(error).__name__})", "check its rights")
