"""Decoding: every readable form is read, and every bad record becomes a dead letter with its reason."""

import json
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.ingest.decode import Decoder
from schemas.config import Feed, TimestampForm
from schemas.feed import CellFault, Reason
from tests.support.plant import FakeRecord

SENSORS = ("flow", "temp-1")


def body(**changes: Any) -> bytes:
    return json.dumps({"asset": "p1", "timestamp": 1.7e9, "flow": 1.5, "temp-1": 20, **changes}).encode()


def decode(value: bytes | None, feed: Feed | None = None, **record: Any) -> Any:
    return Decoder(feed or Feed(), SENSORS).decode([FakeRecord(7, value, **record)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.TOMBSTONE),
        (b"", Reason.NOT_JSON),
        (b"\xff\xfe", Reason.NOT_JSON),
        (b'{"asset": "\xff"}', Reason.NOT_JSON),
        (b"[" * 100_000, Reason.WRONG_TYPE),
        (b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.NOT_JSON),
        (b"[1, 2]", Reason.WRONG_TYPE),
        (b'"text"', Reason.WRONG_TYPE),
        (body(asset=""), Reason.NO_ASSET),
        (b'{"timestamp": 1.7e9, "flow": 1}', Reason.NO_ASSET),
        (body(asset=None), Reason.WRONG_TYPE),
        (b'{"asset": "p1", "flow": 1}', Reason.NO_TIMESTAMP),
        (body(timestamp="noon"), Reason.WRONG_TYPE),
        (body(timestamp="2023-11-14\ud800", flow="Bad"), Reason.NOT_JSON),
        (body(asset="p\ud800", flow="Bad"), Reason.BAD_NAME),
        (body(timestamp=float("nan")), Reason.BAD_TIMESTAMP),
        (body(timestamp=True), Reason.WRONG_TYPE),
        (body(timestamp="noon", flow="Bad"), Reason.WRONG_TYPE),
        (body(timestamp=10**400), Reason.NOT_FINITE),
        (body().replace(b"1700000000.0", b"1" * 5000), Reason.NOT_FINITE),
        (body(timestamp=-5), Reason.BAD_TIMESTAMP),
        (body(timestamp=1.7e12), Reason.BAD_TIMESTAMP),
        (b'{"asset": "p1", "timestamp": 1.7e9}', Reason.NO_VALUES),
        (body(note="x" * 2_000_000), Reason.TOO_LARGE),
    ],
)
def test_a_bad_record_is_a_dead_letter_with_its_reason(value: bytes | None, reason: Reason) -> None:
    """Each kind of malformed record is named for what it is, and its payload is not repeated in the detail."""
    decoded, rejected = decode(value)
    assert [r.reason for r in rejected] == [reason]
    assert rejected[0].record.offset == 7
    assert len(rejected[0].detail) <= 300
    assert "xxx" not in rejected[0].detail
    assert len(decoded.assets) == 0


def test_a_bad_record_takes_no_neighbour_with_it() -> None:
    """The good records around a bad one keep their order, offsets and values."""
    values = [body(flow=1.0), b"{", body(flow=2.0), body(timestamp=-1), body(flow=3.0)]
    decoded, rejected = Decoder(Feed(), SENSORS).decode([FakeRecord(i, v) for i, v in enumerate(values)])
    assert decoded.offsets.tolist() == [0, 2, 4]
    assert decoded.cells[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert [r.record.offset for r in rejected] == [1, 3]


def test_a_missing_sensor_is_nan_and_unknown_fields_are_ignored() -> None:
    """Null and absent mean missing; what nobody asked for is passed over."""
    decoded, rejected = decode(b'{"asset": 12, "timestamp": 1700000000, "flow": null, "temp-1": 3, "new": [1]}')
    assert not rejected
    assert decoded.assets == ["12"]
    assert np.isnan(decoded.cells[0, 0])
    assert decoded.cells[0, 1] == 3


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (TimestampForm.SECONDS, 1700000000.25),
        (TimestampForm.MILLISECONDS, 1700000000250),
        (TimestampForm.MICROSECONDS, 1700000000250000),
        (TimestampForm.NANOSECONDS, 1700000000250000000),
        (TimestampForm.ISO8601, "2023-11-14T22:13:20.25Z"),
        (TimestampForm.ISO8601, "2023-11-14T22:13:20.25"),
        (TimestampForm.ISO8601, "2023-11-14T23:13:20.25+01:00"),
    ],
)
def test_every_form_of_time_is_the_same_moment(form: TimestampForm, written: float | str) -> None:
    """Seconds to nanoseconds, and ISO 8601 with or without a zone (then UTC)."""
    decoded, rejected = decode(body(timestamp=written), Feed(timestamp_form=form))
    assert not rejected
    assert decoded.times[0] == pytest.approx(1700000000.25, abs=1e-6)


def test_nested_fields_and_the_key_as_asset() -> None:
    """Paths reach into objects; the asset may be the record's key."""
    feed = Feed(asset="@key", timestamp="meta.at", values={"flow": "r.flow", "temp-1": "r.inner.t"})
    value = b'{"meta": {"at": 1700000000}, "r": {"flow": 1, "inner": {"t": 2}}}'
    decoded, rejected = decode(value, feed, key=b"p9")
    assert not rejected
    assert (decoded.assets, decoded.cells.tolist()) == (["p9"], [[1.0, 2.0]])
    assert decode(value, feed, key=None)[1][0].reason is Reason.NO_ASSET
    assert decode(value, feed, key=b"\xff")[1][0].reason is Reason.NO_ASSET


def test_a_time_beyond_the_transports_own_is_refused() -> None:
    """After a record from the future all others of its asset would be late; the broker's time shows it."""
    own_ms = 1_700_000_000_000
    assert decode(body(timestamp=1.7e9 + 3599), timestamp=own_ms)[1] == []
    assert decode(body(timestamp=1.7e9 + 3601), timestamp=own_ms)[1][0].reason is Reason.FUTURE_TIMESTAMP


KEYS = st.sampled_from(["asset", "timestamp", "flow", "x"])
TREES = st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))


@given(st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_no_bytes_raise(value: bytes) -> None:
    """Whatever the bytes, a record is read or rejected, never both, and nothing is raised."""
    decoded, rejected = decode(value)
    assert len(decoded.assets) + len(rejected) == 1
    assert np.isfinite(decoded.times).all()
    assert not np.isinf(decoded.cells).any()


@pytest.mark.parametrize(
    "feed",
    [Feed(asset="flow"), Feed(asset="flow.id"), Feed(timestamp="asset"), Feed(values={"flow": "a", "temp-1": "a.b"})],
)
def test_fields_that_lie_in_one_place_are_refused(feed: Feed) -> None:
    """A sensor called like the timestamp's path, or inside of another: no record could hold both."""
    with pytest.raises(ValueError, match="one place"):
        Decoder(feed, SENSORS)


def test_a_path_may_be_deep() -> None:
    """Fields lie where the feed has them."""
    deep = ".".join("abcdefghijklmnopqrstuvwxyz")
    decoder = Decoder(Feed(timestamp=deep), ("s",))
    body = json.dumps({"asset": "a", "s": 1, "a": "?"}).replace('"?"', _nested(deep.split(".")[1:]))
    decoded, rejected = decoder.decode([FakeRecord(0, body.encode())])
    assert (decoded.times.tolist(), rejected) == ([5.0], [])


def _nested(path: list[str]) -> str:
    return "5" if not path else f'{{"{path[0]}": {_nested(path[1:])}}}'


LONG_NAME, ESCAPES = "p" * 201, "pump\x1b[2J"


@pytest.mark.parametrize("name", [LONG_NAME, "é" * 101, "x" * 350_000, ESCAPES, "a\nb", "a\u202eb"])
@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize("keyed", [False, True])
def test_a_name_that_no_table_should_keep_is_a_dead_letter(
    name: str, form: Literal["wide", "long"], keyed: bool
) -> None:
    """Too long or not printable: as the asset's field, as the record's key, and as a sensor of a long record."""
    feed = Feed(form=form, asset="@key" if keyed else "asset")
    fields = {"asset": "p1", "timestamp": 1.7e9, "flow": 1, "sensor": "flow", "value": 1}
    named = json.dumps(fields if keyed else {**fields, "asset": name}).encode()
    _, rejected = decode(named, feed, key=name.encode() if keyed else None)
    assert [(r.reason, name in r.detail) for r in rejected] == [(Reason.BAD_NAME, False)]
    if form == "long":
        _, rejected = decode(json.dumps({**fields, "sensor": name}).encode(), feed, key=b"p1")
        assert [r.reason for r in rejected] == [Reason.BAD_NAME]


@pytest.mark.parametrize("name", ["p" * 200, "é" * 100, "Pumpe 1/Süd", "泵\u3000一号", "pump\u00a01", "/plant/a:b|c"])
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    """Letters of any script, signs and spaces, up to 200 bytes."""
    decoded, rejected = decode(body(asset=name))
    assert (decoded.assets, rejected) == ([name], [])


NAN = float("nan")
CELLS = [
    ("Bad", NAN, CellFault.TEXT),
    ("I/O Timeout", NAN, CellFault.TEXT),
    ("9,123.4", NAN, CellFault.TEXT),
    ("", NAN, CellFault.TEXT),
    ("0x10", NAN, CellFault.TEXT),
    ("1_000", NAN, CellFault.TEXT),
    ("nan", NAN, CellFault.TEXT),
    ("1" * 100_000, NAN, CellFault.TEXT),
    ("1.5", 1.5, CellFault.NUMBER_AS_TEXT),
    (" -1.5e1 ", -15.0, CellFault.NUMBER_AS_TEXT),
    ("1e300", NAN, CellFault.NOT_FINITE),
    (True, NAN, CellFault.BOOLEAN),
    (NAN, NAN, CellFault.NOT_FINITE),
    (float("-inf"), NAN, CellFault.NOT_FINITE),
    (1e308, NAN, CellFault.NOT_FINITE),
    (10**400, NAN, CellFault.NOT_FINITE),
    ({"a": 1}, NAN, CellFault.NESTED),
    ([1.5], NAN, CellFault.NESTED),
]


@pytest.mark.parametrize(("cell", "value", "fault"), CELLS)
@pytest.mark.parametrize("keyed", [False, True])
def test_a_bad_cell_costs_one_cell(cell: Any, value: float, fault: CellFault, keyed: bool) -> None:
    """In wide records its neighbours are read; in long ones the value is missing; both say the sensor and why."""
    key = b"p1" if keyed else None
    asset = "@key" if keyed else "asset"
    decoded, rejected = decode(body(flow=cell), Feed(asset=asset), key=key)
    assert rejected == []
    np.testing.assert_array_equal(decoded.cells, [[value, 20.0]])
    assert decoded.cell_faults == {("flow", fault): 1}
    long = json.dumps({"asset": "p1", "timestamp": 1.7e9, "sensor": "flow", "value": cell}).encode()
    decoded, rejected = decode(long, Feed(form="long", asset=asset), key=key)
    assert rejected == []
    np.testing.assert_array_equal(decoded.cells, [[value]])
    assert decoded.cell_faults == {("flow", fault): 1}


def test_a_number_too_large_for_the_cell_is_seen_in_the_document_too() -> None:
    """The strict parser refuses 1e400, and the whole document with it: the cell alone is lost."""
    decoded, rejected = decode(body().replace(b"1.5", b"1e400"))
    assert (rejected, decoded.cell_faults) == ([], {("flow", CellFault.NOT_FINITE): 1})


def test_nan_in_a_field_that_nobody_asked_for_costs_nothing() -> None:
    """Python writes NaN wherever it has one."""
    decoded, rejected = decode(body(note=NAN))
    assert (rejected, decoded.cell_faults, decoded.cells.tolist()) == ([], {}, [[1.5, 20.0]])


@pytest.mark.parametrize("value", [b"[1]", b'"x"', b"1.5", b"true"])
def test_a_feed_of_another_shape_is_no_bad_cell(value: bytes) -> None:
    """Where no object is at the path of all values, the configuration is wrong, and each record says so."""
    whole = b'{"t": 1.7e9, "asset": "p1", "sensor": "flow", "r": %b}' % value
    for feed in (Feed(timestamp="t", values="r"), Feed(form="long", timestamp="t", value="r.v")):
        assert [r.reason for r in decode(whole, feed)[1]] == [Reason.WRONG_TYPE]


def test_nulls_are_a_row_and_absent_fields_are_none() -> None:
    """A plant at standstill sends nulls: it sends. A record without any of the fields is none, in both forms."""
    decoded, rejected = decode(body(flow=None, **{"temp-1": None}))
    assert (rejected, decoded.assets, np.isnan(decoded.cells).all()) == ([], ["p1"], True)
    long = {"asset": "p1", "timestamp": 1.7e9, "sensor": "flow"}
    decoded, rejected = decode(json.dumps({**long, "value": None}).encode(), Feed(form="long"))
    assert (rejected, decoded.names) == ([], ["flow"])
    assert decode(json.dumps(long).encode(), Feed(form="long"))[1][0].reason is Reason.NO_VALUES
    assert decode(b'{"t": 1.7e9, "asset": "p1", "r": null}', Feed(timestamp="t", values="r"))[1][0].reason is (
        Reason.NO_VALUES
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"flow": "RUN", "temp-1": True},
        {"timestamp": "noon"},
        {"timestamp": 1.7e15},
        {"timestamp": None},
        {"flow": None, "temp-1": None},
        {"other": 1},
    ],
)
@pytest.mark.parametrize("keyed", [False, True])
def test_a_foreign_asset_is_no_fault_of_the_feed(fields: dict[str, Any], keyed: bool) -> None:
    """The asset is asked for first: whatever else the record of another asset holds, it is passed over and counted."""
    feed = Feed(asset="@key") if keyed else Feed()
    decoder = Decoder(feed, SENSORS, lambda asset: asset == "p1")
    whole = {"asset": "p2", "timestamp": 1.7e9, **fields}
    if fields == {"other": 1}:
        whole.pop("timestamp")
    decoded, rejected = decoder.decode([FakeRecord(1, json.dumps(whole).encode(), key=b"p2")])
    assert rejected == []
    assert decoded.cell_faults == {}
    assert decoded.unwatched == {"p2": 1} or decoded.assets == ["p2"]
    assert [r.reason for r in decoder.decode([FakeRecord(2, b"{", key=None)])[1]] == [Reason.NOT_JSON]


def test_a_foreign_sensor_is_no_fault_of_the_feed() -> None:
    """Whatever its value: it is counted, and a bad value of a sensor that is named stays a bad cell."""
    decoder = Decoder(Feed(form="long"), SENSORS, lambda _: True)
    rows = [("colour", "red"), ("flow", "red"), ("colour", 1), ("no", {})]
    bodies = [{"asset": "p1", "timestamp": 1.7e9, "sensor": sensor, "value": value} for sensor, value in rows]
    bodies += [{"asset": "p1", "timestamp": 1.7e9, "sensor": "state"}, {"asset": "p1", "sensor": "state", "value": 1}]
    decoded, rejected = decoder.decode([FakeRecord(i, json.dumps(each).encode()) for i, each in enumerate(bodies)])
    assert (rejected, decoded.unknown, len(decoded.names)) == ([], 2, 4)
    assert decoded.cell_faults == {("flow", CellFault.TEXT): 1}
