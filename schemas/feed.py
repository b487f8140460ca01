"""The feed: a record as watchkeeper sees it, the packed scores it gives, and the reasons for dead letters."""

from enum import IntFlag, StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Contract


class RecordView(Contract):
    """One row of a feed after decoding, whatever its form on the wire. A missing sensor is null."""

    version: Literal[1] = 1
    asset: str = Field(min_length=1, description="the asset's name")
    timestamp_s: float = Field(description="event time, seconds since 1970-01-01 UTC")
    values: dict[str, float | None] = Field(description="sensor -> value; null: missing")


class RowFlag(IntFlag):
    """What happened to a row, beside its score; 0 is an ordinary scored row."""

    WARMING = 1  # the window is not full yet, or the stride passes this row over: no score
    LATE = 2  # not after the asset's newest row: counted, kept out of the window, no score
    GAP = 4  # the row follows a gap longer than the bundle allows: the window began anew
    FILLED = 8  # some cells of the window were missing and filled in the graph
    UNFILLABLE = 16  # more cells missing than the bundle allows: no score
    UNWATCHED = 32  # no rule names the asset: no score
    OVER_LIMIT = 64  # the daemon's cap on assets is reached: no score
    CLOCK_RESET = 128  # the asset's clock went back for good: the window began anew
    NO_SCORE = 256  # the graph gave no finite score


class Scores(Contract):
    """The scores of one asset in one poll, packed: the arrays are of one length, one entry a record.

    A replay may pack the same records differently; (topic, partition, offset) identifies an entry.
    """

    version: Literal[1] = 1
    asset: str = Field(description="the asset's name")
    model: str | None = Field(description="model that scored; null: none watches the asset")
    model_version: str | None = Field(description="version of its bundle")
    topic: str = Field(description="the input topic, or file")
    partition: int = Field(description="its partition")
    threshold: float | None = Field(description="of the bundle; scores above it are anomalous")
    offsets: tuple[int, ...] = Field(description="of the records")
    times_s: tuple[float, ...] = Field(description="event times, seconds since 1970-01-01 UTC")
    scores: tuple[float | None, ...] = Field(description="null where the row was not scored; flags say why")
    flags: tuple[int, ...] = Field(description="bits of RowFlag")


class Reason(StrEnum):
    """Why a record went to the dead-letter topic."""

    NOT_JSON = "not_json"  # bytes that are not JSON, or not UTF-8
    WRONG_TYPE = "wrong_type"  # JSON, but a field has another type than the configuration says
    NO_ASSET = "no_asset"  # the asset's field is missing or empty
    BAD_NAME = "bad_name"  # an asset or sensor name longer than 200 bytes, or with a sign that is not printable
    NO_TIMESTAMP = "no_timestamp"  # the timestamp's field is missing
    BAD_TIMESTAMP = "bad_timestamp"  # a timestamp that cannot be read, or lies outside 1970 to 2200
    FUTURE_TIMESTAMP = "future_timestamp"  # later than the transport's own time by more than the allowance
    NOT_FINITE = "not_finite"  # a number that cannot be held where it is no cell; cells are missing instead
    NO_VALUES = "no_values"  # the fields of all configured sensors are absent; null in one of them is a row
    UNKNOWN_SENSOR = "unknown_sensor"  # not given any more: a long record of a sensor that no model names is counted
    TOO_LARGE = "too_large"  # longer than feed.max_record_bytes
    TOMBSTONE = "tombstone"  # a record without a value


class CellFault(StrEnum):
    """Why a cell of a record is no plain number. Its row lives: the cell counts as missing, or is converted."""

    TEXT = "text"  # a text that is not a number ("Bad", "9,123.4"): missing
    NUMBER_AS_TEXT = "number_as_text"  # a number in quotes: converted
    BOOLEAN = "boolean"  # true or false: missing
    NOT_FINITE = "not_finite"  # NaN, Infinity, or a value that no 32-bit float holds: missing
    NESTED = "nested"  # an object or array, or no object where the path goes on: missing


class DeadLetter(Contract):
    """Coordinates of a record that could not be read; the original bytes travel beside it, unchanged
    but for their length where the topic takes no message so large.

    Over Kafka the value is the original value and these fields are headers named `watchkeeper.<field>`.
    In a file they are one JSON line, with the original key and value in base64.
    """

    version: Literal[1] = 1
    topic: str = Field(description="the input topic")
    partition: int = Field(description="its partition")
    offset: int = Field(description="of the record")
    reason: Reason = Field(description="why it could not be read")
    detail: str = Field(max_length=300, description="what was wrong, without the payload")
    cut_from_bytes: int | None = Field(
        default=None,
        ge=0,
        description="length of the original value, where the topic did not take it whole; null: it is whole",
    )


class DeadLetterLine(Contract):
    """A dead letter in a file: its coordinates, and the original key and value in base64 (null: there was none)."""

    version: Literal[1] = 1
    dead_letter: DeadLetter = Field(description="its coordinates and the reason")
    key: str | None = Field(description="the original key, base64")
    value: str | None = Field(description="the original value, base64")
