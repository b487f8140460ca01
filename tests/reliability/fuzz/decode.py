"""Records of every feed form: each is read or rejected, never both, never neither, and polls make no difference."""

import json
from random import Random

import numpy as np

from detector.core.ingest.decode import Decoder
from detector.core.ingest.fields import FLOAT32_MAX, LATEST_S
from detector.core.ingest.rows import Decoded
from detector.transports.messages import dead_letter_line, dead_letter_message, read_dead_letter
from schemas.config import Feed, TimestampForm
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import json_mutated
from tests.support.plant import SENSORS, START_S, FakeRecord

MOST = 4  # records of a case
FEEDS = (
    Feed(),
    Feed(timestamp_form=TimestampForm.MILLISECONDS, values="r"),
    Feed(timestamp_form=TimestampForm.ISO8601),
    Feed(form="long"),
    Feed(asset="@key", timestamp="meta.at", values={"s0": "r.a", "s1": "r.inner.b", "s2": "r.inner.c"}),
    Feed(
        form="long",
        asset="@key",
        timestamp="t.at",
        timestamp_form=TimestampForm.NANOSECONDS,
        sensor="r.tag",
        value="r.v",
    ),
    Feed(asset="unit.id", timestamp_form=TimestampForm.MICROSECONDS, max_record_bytes=64),
)
_DECODERS = [Decoder(feed, SENSORS) for feed in FEEDS]
_OWN_TIMES = (None, -1, 0, int(START_S * 1000), int(START_S * 1000) - 4_000_000, 2**62)  # milliseconds


def records_of(data: bytes) -> tuple[int, list[FakeRecord]]:
    """A case: the feed's number, the transport's time, then a key line and a record a line ('~': a tombstone)."""
    head, rest = data[:2].ljust(2, b"\0"), data[2:]
    key, *lines = rest.split(b"\n")[: MOST + 1]
    own_ms = _OWN_TIMES[head[1] % len(_OWN_TIMES)]
    values = [None if line == b"~" else line for line in lines]
    return head[0] % len(FEEDS), [
        FakeRecord(offset, value, timestamp=own_ms, key=key or None, headers=((key.decode("latin-1"), value),))
        for offset, value in enumerate(values)
    ]


def one(data: bytes) -> bool:
    """Decodes together and one by one; both must say the same."""
    number, records = records_of(data)
    decoder = _DECODERS[number]
    decoded, rejected = decoder.decode(records)
    told = sorted([*decoded.offsets.tolist(), *(r.record.offset for r in rejected)])
    assert told == list(range(len(records))), f"{told} of {len(records)} records"
    _check(decoded)
    for refusal in rejected[:1]:
        assert_plain(refusal.detail)
        message = dead_letter_message(refusal)
        letter = read_dead_letter(message.headers)
        assert (letter.offset, letter.reason) == (refusal.record.offset, refusal.reason)
        assert message.value == refusal.record.value
        assert b"\n" not in dead_letter_line(message)
    alone = [decoder.decode([record]) for record in records]
    assert decoded.assets == [asset for part, _ in alone for asset in part.assets]
    assert decoded.names == [name for part, _ in alone for name in part.names]
    assert decoded.times.tobytes() == b"".join(part.times.tobytes() for part, _ in alone)
    assert decoded.cells.tobytes() == b"".join(part.cells.tobytes() for part, _ in alone)
    assert {(r.record.offset, r.reason) for r in rejected} == {(r.record.offset, r.reason) for _, p in alone for r in p}
    return len(decoded.assets) > 0


def _check(decoded: Decoded) -> None:
    count = len(decoded.assets)
    assert len(decoded.offsets) == len(decoded.partitions) == len(decoded.times) == len(decoded.cells) == count
    assert all(isinstance(asset, str) and asset for asset in decoded.assets)
    assert ((decoded.times >= 0) & (decoded.times < LATEST_S)).all()
    with np.errstate(invalid="ignore"):
        assert not (np.abs(decoded.cells) > FLOAT32_MAX).any()


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One record's document changed, or a record doubled, dropped or moved to another feed form."""
    head, lines = data[:2], data[2:].split(b"\n")
    if len(lines) < 2 or len(head) < 2:
        return None
    chosen = rng.randrange(1, len(lines))
    kind = rng.random()
    if kind < 0.1:
        head = bytes([rng.randrange(len(FEEDS)), rng.randrange(len(_OWN_TIMES))])
    elif kind < 0.2:
        lines.insert(chosen, lines[rng.randrange(1, len(lines))])
    elif kind < 0.25:
        lines[chosen] = b"~"
    else:
        changed = json_mutated(lines[chosen], rng)
        if changed is None:
            return None
        lines[chosen] = changed
    return head + b"\n".join(lines)


def seeds() -> list[bytes]:
    """Good records of every form, and a few bad ones among them."""
    t = START_S
    wide = {"asset": "p1", "timestamp": t, "s0": 1.5, "s1": 2, "s2": -3.25, "note": {"by": [1, "x"]}}
    bodies: list[list[object]] = [
        [wide, {**wide, "timestamp": t + 1, "s0": None}, {**wide, "asset": 12}],
        [{"asset": "p1", "timestamp": int(t * 1e3), "r": {"s0": 1, "s1": 2.5, "s2": 3}}],
        [{**wide, "timestamp": stamp} for stamp in ("2023-11-14T22:13:20.25Z", "2023-11-14T23:13:20+01:00")],
        [{"asset": "p1", "timestamp": t, "sensor": f"s{i}", "value": i} for i in range(3)],
        [{"meta": {"at": t}, "r": {"a": 1, "inner": {"b": 2, "c": None}}}],
        [{"t": {"at": int(t * 1e9)}, "r": {"tag": "s1", "v": 2.5}}, {"t": {"at": int(t * 1e9)}, "r": {"tag": "s9"}}],
        [{"unit": {"id": "u"}, "timestamp": int(t * 1e6), "s0": 1}, {**wide, "unit": {}, "timestamp": 0}],
    ]
    good = [
        bytes([form, own]) + b"\n".join([b"p9", *(json.dumps(body).encode() for body in rows)])
        for form, rows in enumerate(bodies)
        for own in (0, 3)
    ]
    bad = [b"\0\0k\n~\n\n[1, 2]\n{\n\xff", b"\0\3\n" + json.dumps({**wide, "timestamp": 1e308}).encode()]
    return good + bad


TARGET = Target(
    name="decode",
    promise="every record is read or a dead letter with a reason, whatever its bytes and its neighbours",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b'"asset":', b'"timestamp":', b'"s0":', b'"s1":', b'"sensor":', b'"value":', b'"meta":{"at":', b'"r":', b"null",
        b"1e400", b"-1e308", b"3.5e38", b"NaN", b"Infinity", b"\\ud800", b"[[[[[[", b"\xef\xbb\xbf", b"1700000000",
        b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"18446744073709551616", b"\n~\n",
    ),
    longest=768,
)  # fmt: skip
