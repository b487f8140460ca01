"""What is read back by people's commands: alerts, dead letters' headers, and the state file of the files transport."""

import atexit
import io
import shutil
import tempfile
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec

from detector.commands.alerts import Filter, _readable, line
from detector.errors import DataError
from detector.transports.files.transport import FileTransport
from detector.transports.messages import HEADER_PREFIX, read_dead_letter
from schemas.alert import Severity
from schemas.config import Files, Settings, Topics
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import json_mutated, msgpack_mutated

_GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
_ALERT, _HEADERS, _STATE = range(3)
_PLACE = Path(tempfile.mkdtemp(prefix="fuzz-"))
atexit.register(shutil.rmtree, _PLACE)
(_PLACE / "input.jsonl").touch()
_TRANSPORT = FileTransport(
    Settings(transport="files", files=Files(directory=_PLACE), topics=Topics(input="input", state="state"))
)
atexit.register(_TRANSPORT.close, 0.0)
_WANTED = Filter((), Severity.WARNING, (), None, datetime(2026, 1, 1, tzinfo=UTC))


def one(data: bytes) -> bool:
    """Byte 0 says which of the three it is."""
    return _READERS[(data[0] if data else 0) % len(_READERS)](data[1:])


def _alert(data: bytes) -> bool:
    said = io.StringIO()
    with redirect_stderr(said):
        found = list(_readable([data]))
    for told in said.getvalue().splitlines():
        assert_plain(told)
    assert said.getvalue().count("\n") == (0 if found else 1)
    for alert in found:
        _WANTED.takes(alert)
        assert line(alert, lambda text, _severity: text).isprintable()
    return bool(found)


def _headers(data: bytes) -> bool:
    pairs = [part.partition(b"=") for part in data.split(b"\n")]
    headers = [(name.decode("latin-1"), value if equals else None) for name, equals, value in pairs]
    try:
        letter = read_dead_letter(headers)
    except ValueError:
        return False
    assert type(letter).model_validate_json(letter.model_dump_json()) == letter
    return True


def _state(data: bytes) -> bool:
    (_PLACE / "state.msgpack").write_bytes(data)
    try:
        entries = _TRANSPORT.restore(0)
    except DataError as error:
        assert_plain(str(error))
        return False
    assert all(isinstance(key, bytes) and isinstance(value, bytes) for key, value in entries.items())
    return True


_READERS = (_alert, _headers, _state)


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One field of the document changed; headers have none."""
    kind = (data[0] if data else 0) % len(_READERS)
    change = {_ALERT: json_mutated, _STATE: msgpack_mutated}.get(kind)
    changed = change(data[1:], rng) if change else None
    return None if changed is None else data[:1] + changed


def seeds() -> list[bytes]:
    """The golden alert, a dead letter's headers, a state file."""
    fields = {"version": 1, "topic": "t", "partition": 0, "offset": 5, "reason": "not_json", "detail": "x"}
    headers = "\n".join(f"{HEADER_PREFIX}{name}={value}" for name, value in fields.items())
    state = msgspec.msgpack.encode({"version": 1, "next_offset": 3, "entries": {"marker": b"x", "bucket-1": b"y"}})
    return [
        bytes([_ALERT]) + (_GOLDEN / "alert.json").read_bytes(),
        bytes([_HEADERS]) + headers.encode(),
        bytes([_STATE]) + state,
    ]


TARGET = Target(
    name="messages",
    promise="alerts, dead letters and state files are read, or named as unreadable in one plain line",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b'"specversion":"1.0"', b'"time":"0001-01-01T00:00:00+14:00"', b'"duration_s":1e308', b"\\n", b"\\u001b[31m",
        b"watchkeeper.version=", b"watchkeeper.partition=", b"=-1", b"99999999999999999999", b"\xff", b"NaN", b"1e400",
        b"\xdd\xff\xff\xff\xff", b"\x91" * 40,
    ),
    longest=2048,
)  # fmt: skip
