"""The input file as it changes under the reader: rotated, emptied, or replaced by another day's file.

Offsets count the lines of all files that ever had the input's name, so they go on increasing: no id comes twice. Which
file is in hand is known by a fingerprint, a hash of its beginning and of what lies before the position. A file with
another fingerprint is read from its first line.
"""

import os
from collections import deque
from hashlib import blake2b
from pathlib import Path
from typing import IO

import msgspec
import structlog

from detector.errors import DataError
from detector.transports.reader import LineReader

_SAMPLE = 1024  # bytes of the beginning, and as many before the position
_NEWLINE = b"\n"


class InputPosition(msgspec.Struct, frozen=True):
    """Where reading stands in which file; a field of the state file."""

    inode: int
    position: int  # bytes of whole lines that were read
    line: int  # offset of the next line
    fingerprint: bytes  # of the file as far as the position


class InputFile:
    """Lines of the file that has the input's name. What is left of a file that lost the name is read first."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read."""
        self._path = path
        self._file = open_input(self._path)
        self._reader = LineReader(self._file)
        self._newer: deque[IO[bytes]] = deque()  # files that have taken the name since, oldest first
        self._checked = (0, _fingerprint(self._file, 0))  # position and fingerprint after the last read
        self._unread = 0  # bytes that lay behind the position after the last read
        self._cut_line = False  # the next line's beginning was read already
        self._expected = 0  # lines that the state says were read, where it does not say of which file
        self.line = 0  # offset of the next line
        self.position: InputPosition | None = None  # after the last read

    @property
    def ended(self) -> bool:
        """The last read came to the end of all there is."""
        return self._reader.ended and not self._moved_on()

    def resume(self, position: InputPosition | None, offset: int) -> None:
        """Goes to a position; None: to the first line, where `offset` lines are known to have been read."""
        if position is None:
            self._expected = offset
            self._settle()
        elif self._holds(self._file, position) and (position.position or self._inode(self._file) == position.inode):
            self._continue(self._file, position)
        elif (renamed := self._find_renamed(position)) is not None:
            self._newer.append(self._file)
            self._continue(renamed, position)
        else:
            self.line = position.line
            self._settle()
            if position.position:
                self._report("another file is in its place", 0)

    def read(self, most: int) -> list[bytes]:
        """Up to `most` whole lines; none where there is nothing new. Raises DataError."""
        self._look()
        if not self._unchanged():
            unread, rest = self._unread, self.finish()
            self._report("it was emptied or written anew", unread)
            self._begin_again()
            return rest or self.read(most)
        moved_on = self._moved_on()  # asked before the read: nobody writes what is left of it after that
        lines = self._take(self._reader.read(most))
        if lines:
            return lines
        return self._move_on(most) if moved_on else self._read_shorter(most)

    def finish(self) -> list[bytes]:
        """What stands after the last newline, of a file that nobody writes any more."""
        return self._take(self._reader.finish())

    def close(self) -> None:
        """Closes the files."""
        for file in (self._file, *self._newer):
            file.close()

    def _take(self, lines: list[bytes]) -> list[bytes]:
        if lines and self._cut_line:
            self._cut_line = False
            lines = lines[1:]
        self.line += len(lines)
        self._settle()
        return lines

    def _move_on(self, most: int) -> list[bytes]:
        """Begins the next file; a copy of this one, with more lines perhaps, goes on where this one ends."""
        old, position, newer = self._file, self.position, self._newer.popleft()
        rest: list[bytes] = []
        if position is not None and position.position and self._holds(newer, position):
            self._continue(newer, position)
        else:
            rest = self.finish()
            self._report("another file has its name now", 0)
            self._begin(newer)
        old.close()
        return rest or self.read(most)

    def _read_shorter(self, most: int) -> list[bytes]:
        """A file with fewer lines than were read of it, by a state that knows no more, is another file."""
        if self.line + bool(self._reader.half) >= self._expected:
            return []
        self.line, self._expected = self._expected, 0
        self._report("it has fewer lines than were read", 0)
        self._begin_again()
        return self._take(self._reader.read(most))

    def _settle(self) -> None:
        """Notes where reading stands, right after the read: the file may change at any time."""
        told = self._file.tell()
        self._checked = (told, _fingerprint(self._file, told))
        whole = told - self._reader.half
        fingerprint = _fingerprint(self._file, whole) if self._reader.half else self._checked[1]
        self.position = InputPosition(self._inode(self._file), whole, self.line, fingerprint)
        self._unread = max(os.fstat(self._file.fileno()).st_size - told, 0)

    def _unchanged(self) -> bool:
        """Whether the file still holds what was read of it."""
        position, fingerprint = self._checked
        return bool(fingerprint) and _fingerprint(self._file, position) == fingerprint

    def _look(self) -> None:
        """Opens a file that has taken the name: it may be renamed in its turn before it is read."""
        newest = self._newer[-1] if self._newer else self._file
        try:
            if os.path.samestat(self._path.stat(), os.fstat(newest.fileno())):
                return
        except FileNotFoundError:
            return  # between a rename and the next file
        self._newer.append(open_input(self._path))

    def _moved_on(self) -> bool:
        """Whether the writer has left the file: it writes to another one. An empty one waits for its writer."""
        return len(self._newer) > 1 or any(os.fstat(file.fileno()).st_size for file in self._newer)

    def _begin(self, file: IO[bytes]) -> None:
        self._file, self._reader, self._cut_line = file, LineReader(file), False
        file.seek(0)
        self._settle()

    def _begin_again(self) -> None:
        """The same file with a buffer that holds nothing of what it was."""
        old = self._file
        self._begin(os.fdopen(os.dup(old.fileno()), "rb"))
        old.close()

    def _continue(self, file: IO[bytes], position: InputPosition) -> None:
        self._begin(file)
        before = os.pread(file.fileno(), 1, position.position - 1) if position.position else _NEWLINE
        self._cut_line = before != _NEWLINE  # a run that ended with the file took what stood there for a line
        file.seek(position.position)
        self.line = position.line
        self._settle()

    def _find_renamed(self, position: InputPosition) -> IO[bytes] | None:
        """The file that the position is in, under another name in the same folder."""
        try:
            names = [entry.path for entry in os.scandir(self._path.parent) if entry.inode() == position.inode]
            files = [Path(name).open("rb") for name in names if Path(name) != self._path]  # noqa: SIM115
        except OSError:
            return None
        found = next((file for file in files if self._holds(file, position)), None)
        for file in files:
            if file is not found:
                file.close()
        return found

    def _holds(self, file: IO[bytes], position: InputPosition) -> bool:
        return bool(position.fingerprint) and _fingerprint(file, position.position) == position.fingerprint

    def _report(self, why: str, unread: int) -> None:
        log = structlog.get_logger()
        facts = {"file": str(self._path), "why": why, "first_offset": self.line}
        if unread:
            remedy = "rotate by renaming the file (logrotate: create), which loses nothing"
            log.warning("a new input file was begun", **facts, unread_bytes=unread, remedy=remedy)
        else:
            log.info("a new input file was begun", **facts)

    @staticmethod
    def _inode(file: IO[bytes]) -> int:
        return os.fstat(file.fileno()).st_ino


class InputPipe(LineReader):
    """Standard input or a pipe: it cannot be sought, so it begins at its first line, as if it were the same again."""

    position: InputPosition | None = None
    line = 0

    def resume(self, position: InputPosition | None, offset: int) -> None:
        """Begins with what comes."""
        del position, offset

    def read(self, most: int) -> list[bytes]:
        """Up to `most` lines; waits for the first."""
        lines = super().read(most)
        self.line += len(lines)
        return lines

    def finish(self) -> list[bytes]:
        """What stands after the last newline."""
        lines = super().finish()
        self.line += len(lines)
        return lines


def open_input(path: Path) -> IO[bytes]:
    """The input for reading. Raises DataError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(
            f"the input {path} cannot be read ({type(error).__name__})", "check files.directory and topics.input"
        ) from None


def _fingerprint(file: IO[bytes], position: int) -> bytes:
    """Of a file's beginning and of what lies before the position; empty where the file is shorter than that."""
    length = min(position, _SAMPLE)
    beginning = os.pread(file.fileno(), length, 0)
    end = os.pread(file.fileno(), length, position - length)
    if len(beginning) < length or len(end) < length:
        return b""
    return blake2b(beginning + end, digest_size=16).digest()
