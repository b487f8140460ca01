"""The input as it is rotated, emptied and replaced: every line once, under numbers that go on increasing."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from detector.transports.files.transport import FileTransport
from detector.transports.interface import Message, Stream
from schemas.config import Files, Settings

GOLDEN = Path(__file__).parents[3] / "golden" / "files"
Read = list[tuple[int, bytes | None]]  # (offset, line)


def lines(word: str, count: int, begin: int = 0) -> list[bytes]:
    """Lines that name themselves; none is like another."""
    return [f'{{"{word}": {number}, "filler": "{"x" * 20}"}}'.encode() for number in range(begin, begin + count)]


def write(path: Path, content: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in content))


def append(path: Path, content: list[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in content)


@contextmanager
def opened(folder: Path, *, follow: bool) -> Iterator[FileTransport]:
    """A daemon's transport, resumed where its state stands."""
    transport = FileTransport(Settings(transport="files", files=Files(directory=folder, follow=follow)))
    try:
        assert transport.poll(0, 1).assigned == {0}
        marker = transport.restore(0).get(b"marker")
        transport.resume(0, None if marker is None else int(marker))
        yield transport
    finally:
        transport.close(1)


def drain(transport: FileTransport, most: int = 7) -> Read:
    """All records that there are, committed poll by poll as the loop does."""
    found: Read = []
    idle = 0
    while idle < 4:
        polled = transport.poll(0.0, most)
        found += [(record.offset, record.value) for record in polled.records]
        if polled.records:
            offset = polled.records[-1].offset + 1
            transport.send(Message(Stream.STATE, b"%d" % offset, b"marker", partition=0))
            transport.commit({0: offset}, 1)
        idle = 0 if polled.records else idle + 1  # a poll over lines that were read before gives none
        if polled.ended:
            break
    return found


def run(folder: Path, most: int = 7) -> Read:
    """A whole run over the file."""
    with opened(folder, follow=False) as transport:
        return drain(transport, most)


def numbered(first: int, content: list[bytes | None] | list[bytes]) -> Read:
    return list(enumerate(content, first))


def rename_and_create(feed: Path, content: list[bytes]) -> None:
    feed.rename(feed.with_suffix(".1"))
    write(feed, content)


def put_another_in_place(feed: Path, content: list[bytes]) -> None:
    other = feed.with_suffix(".new")
    write(other, content)
    other.replace(feed)


def copy_and_truncate(feed: Path, content: list[bytes]) -> None:
    shutil.copy(feed, feed.with_suffix(".1"))
    os.truncate(feed, 0)
    append(feed, content)


CHANGES: dict[str, Callable[[Path, list[bytes]], None]] = {
    "rename and create": rename_and_create,
    "another put in its place": put_another_in_place,
    "copytruncate": copy_and_truncate,
    "written anew": write,
}


@pytest.mark.parametrize("count", [30, 100, 300], ids=["shorter", "as long", "longer"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "between runs"])
def test_every_line_of_a_new_file_is_read_once(
    tmp_path: Path, running: bool, change: Callable[[Path, list[bytes]], None], count: int
) -> None:
    """However the new file came and however long it is; offsets go on, and the log says that a new file was begun."""
    feed = tmp_path / "sensors.jsonl"
    write(feed, lines("monday", 100))
    expected = numbered(0, lines("monday", 100)), numbered(100, lines("tuesday", count))
    with capture_logs() as logs:
        if running:
            with opened(tmp_path, follow=True) as transport:
                assert drain(transport) == expected[0]
                change(feed, lines("tuesday", count))
                assert drain(transport) == expected[1]
        else:
            assert run(tmp_path) == expected[0]
            change(feed, lines("tuesday", count))
            assert run(tmp_path) == expected[1]
        assert run(tmp_path) == []
    [begun] = [line for line in logs if line["event"] == "a new input file was begun"]
    assert (begun["file"], begun["first_offset"]) == (str(feed), 100)


@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "between runs"])
def test_what_was_left_of_a_renamed_file_comes_first(tmp_path: Path, running: bool) -> None:
    """Also what its writer added after the rename, before it began the new file; half a line counts as one."""
    feed = tmp_path / "sensors.jsonl"
    write(feed, lines("monday", 50))
    with opened(tmp_path, follow=True) as transport:
        assert drain(transport) == numbered(0, lines("monday", 50))
        feed.rename(tmp_path / "sensors.jsonl.1")
        append(tmp_path / "sensors.jsonl.1", lines("monday", 10, 50))
        feed.touch()
        if running:
            assert drain(transport) == numbered(50, lines("monday", 10, 50))
            append(tmp_path / "sensors.jsonl.1", lines("monday", 1, 60))
            with (tmp_path / "sensors.jsonl.1").open("ab") as file:
                file.write(b"half")
            append(feed, lines("tuesday", 5))
            rest = [*lines("monday", 1, 60), b"half", *lines("tuesday", 5)]
            assert drain(transport, 1) == numbered(60, rest)
    if not running:
        append(feed, lines("tuesday", 5))
        assert run(tmp_path) == numbered(50, [*lines("monday", 10, 50), *lines("tuesday", 5)])


def test_two_rotations_between_two_polls_lose_nothing_that_was_seen(tmp_path: Path) -> None:
    """A file that took the name and lost it again is read in its turn."""
    feed = tmp_path / "sensors.jsonl"
    write(feed, lines("monday", 5))
    with opened(tmp_path, follow=True) as transport:
        assert len(drain(transport)) == 5
        append(feed, lines("monday", 20, 5))
        feed.rename(tmp_path / "1")
        write(feed, lines("tuesday", 3))
        assert transport.poll(0.0, 4).records  # monday's; tuesday's file is open now
        feed.rename(tmp_path / "2")
        write(feed, lines("wednesday", 3))
        found = [value for _, value in drain(transport)]
    assert found == [*lines("monday", 16, 9), *lines("tuesday", 3), *lines("wednesday", 3)]


def test_the_same_file_goes_on_where_it_was(tmp_path: Path) -> None:
    """Grown, moved with its folder, or copied with more lines: what was read is not read again."""
    feed = tmp_path / "a" / "sensors.jsonl"
    feed.parent.mkdir()
    write(feed, [*lines("monday", 20), b"", b""])
    assert run(feed.parent) == numbered(0, lines("monday", 20))
    assert run(feed.parent) == []
    append(feed, lines("monday", 3, 20))
    assert run(feed.parent) == numbered(22, lines("monday", 3, 20))
    shutil.copytree(feed.parent, tmp_path / "b")
    append(tmp_path / "b" / "sensors.jsonl", lines("monday", 3, 23))
    assert run(tmp_path / "b") == numbered(25, lines("monday", 3, 23))
    put_another_in_place(feed, [*lines("monday", 20), b"", b"", *lines("monday", 9, 20)])
    assert run(feed.parent) == numbered(25, lines("monday", 6, 23))


def test_a_copy_with_more_lines_goes_on_while_it_runs(tmp_path: Path) -> None:
    """A writer that replaces the whole file each time has no line read twice."""
    feed = tmp_path / "sensors.jsonl"
    write(feed, lines("monday", 20))
    with opened(tmp_path, follow=True) as transport:
        assert len(drain(transport)) == 20
        put_another_in_place(feed, lines("monday", 25))
        assert drain(transport) == numbered(20, lines("monday", 5, 20))


def test_a_line_that_a_run_ended_in_is_not_read_by_halves(tmp_path: Path) -> None:
    """The end of the file ended it once; what is appended to it later belongs to a line that was counted."""
    feed = tmp_path / "sensors.jsonl"
    feed.write_bytes(b"one\ntw")
    assert run(tmp_path) == [(0, b"one"), (1, b"tw")]
    with feed.open("ab") as file:
        file.write(b"o\nthree\n")
    assert run(tmp_path) == [(2, b"three")]


def test_lines_that_truncation_took_are_told(tmp_path: Path) -> None:
    """Truncation takes what nobody had read; the log says how much of it was seen, and how to rotate without loss."""
    feed = tmp_path / "sensors.jsonl"
    write(feed, lines("monday", 50))
    with opened(tmp_path, follow=True) as transport, capture_logs() as logs:
        assert len(transport.poll(0.0, 10).records) == 10
        copy_and_truncate(feed, lines("tuesday", 3))
        assert drain(transport) == numbered(10, lines("tuesday", 3))
    [begun] = [line for line in logs if line["event"] == "a new input file was begun"]
    assert (begun["log_level"], begun["unread_bytes"]) == ("warning", 40 * len(lines("monday", 1, 10)[0] + b"\n"))
    assert "create" in begun["remedy"]


@pytest.mark.parametrize(("count", "expected"), [(15, (10, 5, 10)), (10, (10, 0, 0)), (8, (10, 8, 0))])
def test_a_state_file_of_the_first_form_counts_lines(
    tmp_path: Path, count: int, expected: tuple[int, int, int]
) -> None:
    """It knows no file: as many lines are passed over, and a file that has fewer is another one."""
    first, read, begin = expected
    shutil.copy(GOLDEN / "state.lines.msgpack", tmp_path / "watchkeeper.state.msgpack")
    write(tmp_path / "sensors.jsonl", lines("monday", count))
    assert run(tmp_path) == numbered(first, lines("monday", read, begin))


def test_a_state_file_keeps_its_form(tmp_path: Path) -> None:
    """One that names its file is read as it was written."""
    shutil.copy(GOLDEN / "state.input.msgpack", tmp_path / "watchkeeper.state.msgpack")
    write(tmp_path / "sensors.jsonl", [*lines("monday", 10), *lines("monday", 2, 10)])
    assert run(tmp_path) == numbered(40, lines("monday", 2, 10))


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    """It has no beginning to go back to, and no end to wait at."""
    pipe = tmp_path / "sensors.jsonl"
    os.mkfifo(pipe)
    with pipe.open("r+b", buffering=0) as writer, opened(tmp_path, follow=True) as transport:
        writer.write(b"one\ntwo\n")
        assert [record.offset for record in transport.poll(0.0, 2).records] == [0, 1]
