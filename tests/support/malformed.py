"""Records that cannot be read, each with the reason that it must come back with, and records with a bad cell."""

import json

from schemas.feed import Reason
from tests.support.installation import START_S


def body(**fields: object) -> bytes:
    """A record that is right but for the given fields; None leaves a field out."""
    whole = {"asset": "pump-1", "timestamp": START_S, "flow": 10.0, "temperature": 50.0} | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


MALFORMED: dict[str, tuple[bytes | None, Reason]] = {
    "random bytes": (b"\x00\xff\x80\x01 \xfe", Reason.NOT_JSON),
    "cut off": (body()[:-3], Reason.NOT_JSON),
    "empty": (b"", Reason.NOT_JSON),
    "not UTF-8": (body().replace(b"pump-1", b"pump-\xff"), Reason.NOT_JSON),
    "arrays in arrays": (b"[" * 100_000, Reason.WRONG_TYPE),
    "nested too deeply in an unknown field": (
        body()[:-1] + b', "extra": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        Reason.NOT_JSON,
    ),
    "no object": (b"[1, 2, 3]", Reason.WRONG_TYPE),
    "null": (b"null", Reason.WRONG_TYPE),
    "a text for the timestamp": (body(timestamp="yesterday"), Reason.WRONG_TYPE),
    "an object for the asset": (body(asset={"name": "pump-1"}), Reason.WRONG_TYPE),
    "no asset": (body(asset=None), Reason.NO_ASSET),
    "an empty asset": (body(asset=""), Reason.NO_ASSET),
    "no timestamp": (body(timestamp=None), Reason.NO_TIMESTAMP),
    "milliseconds for seconds": (body(timestamp=START_S * 1000), Reason.BAD_TIMESTAMP),
    "before 1970": (body(timestamp=-5.0), Reason.BAD_TIMESTAMP),
    "from the future": (body(timestamp=START_S + 20 * 365 * 86_400), Reason.FUTURE_TIMESTAMP),
    "no sensor": (body(flow=None, temperature=None, pressure=3.0), Reason.NO_VALUES),
    "too large": (body(extra="x" * 1_100_000), Reason.TOO_LARGE),
    "a tombstone": (None, Reason.TOMBSTONE),
}

# One cell is missing in the row of each.
BAD_CELLS: dict[str, bytes] = {
    "the word NaN": body().replace(b"10.0", b"NaN"),
    "the word Infinity": body().replace(b"10.0", b"Infinity"),
    "the word -Infinity": body().replace(b"10.0", b"-Infinity"),
    "a text for a number": body(flow="ten"),
    "1e400": body().replace(b"10.0", b"1e400"),
    "1e308": body(flow=1e308),
    "beyond 32 bits": body(flow=-1e39),
}
