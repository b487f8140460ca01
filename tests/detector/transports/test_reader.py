"""JSON lines, whole files and growing ones: each line once, none by half, blank ones counted and left out."""

import io
from pathlib import Path

import pytest

from detector.errors import DataError
from detector.transports.reader import FileFollower, LineReader, line_records, read_records


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_half_a_line_waits_for_its_end() -> None:
    """What stands after the last newline is given when it ends, or when nobody writes any more."""
    source = io.BytesIO(b"one\r\ntwo\nthr")
    reader = LineReader(source)
    assert (reader.read(1), reader.ended) == ([b"one"], False)
    assert (reader.read(10), reader.ended) == ([b"two"], True)
    source.write(b"ee\nfo")
    source.seek(-5, io.SEEK_END)
    assert reader.read(10) == [b"three"]
    assert reader.finish() == [b"fo"]
    assert reader.finish() == []


def test_a_blank_line_is_no_record_and_keeps_its_number(tmp_path: Path) -> None:
    """Offsets are numbers of lines, so that an editor shows the line that an alert names."""
    path = tmp_path / "feed.jsonl"
    path.write_bytes(b"a\n\n\r\nb\n\nc")
    found = [record for part in read_records(path, "feed", 10, chunk=2) for record in part]
    assert [(record.offset, record.value) for record in found] == [(10, b"a"), (13, b"b"), (15, b"c")]
    assert [record.offset for record in line_records("feed", 3, [b"", b"x"])] == [4]


def test_a_file_is_followed_from_before_it_is_there(tmp_path: Path) -> None:
    """No file: nothing yet. Then its lines as they come, and all of a file that took its place or was emptied."""
    path = tmp_path / "out.jsonl"
    follower = FileFollower(path)
    assert follower.read() == []
    append(path, b"one\ntw")
    assert follower.read() == [b"one"]
    append(path, b"o\n")
    assert follower.read() == [b"two"]
    path.write_bytes(b"1\n")
    assert follower.read() == [b"1"]
    (tmp_path / "new").write_bytes(b"in its place\n" * 2)
    (tmp_path / "new").rename(path)
    assert follower.read(most=1) == [b"in its place"]
    assert follower.read() == [b"in its place"]
    follower.close()


def test_following_from_the_end_passes_over_what_is_there(tmp_path: Path) -> None:
    """Only what is appended from now on."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old\n")
    follower = FileFollower(path, at_end=True)
    append(path, b"new\n")
    assert follower.read() == [b"new"]
    follower.close()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in the file's place is one line, not a traceback."""
    with pytest.raises(DataError, match="cannot be read"):
        FileFollower(tmp_path).read()
