"""What a client sends and gets, as pydantic models made for one bundle: its window and sensors stand in the schema.

So the OpenAPI document and the check of a request are one thing, and a client can see what fits before it asks.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Discriminator, Field, RootModel, Tag, create_model

from detector.core.ingest.fields import LATEST_S
from schemas.base import Contract
from schemas.config import Serve
from schemas.manifest import Manifest

FLOAT32 = 3.4028234663852886e38  # the largest finite one
FURTHEST_CODE = 1e6  # codes of normal windows are about as large as 1; far beyond them a decoder says nothing

Number = Annotated[float, Field(strict=True, ge=-FLOAT32, le=FLOAT32)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=LATEST_S)]


class Problem(Contract):
    """What went wrong, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="one line: what is wrong with which part of the request")


class HealthResponse(Contract):
    """The process answers."""

    status: str = "ok"
    model: str
    model_version: str


class SensorFacts(Contract):
    """One column of a window."""

    name: str
    unit: str


class LimitFacts(Contract):
    """What a request may hold."""

    max_windows: int
    max_rows: int
    max_body_bytes: int


class ModelFacts(Contract):
    """What is served."""

    model: str
    model_version: str
    family: str
    sensors: list[SensorFacts] = Field(description="the columns of a window, in order")
    window: int = Field(description="rows")
    period_s: float = Field(description="usual time between rows")
    fill_limit: float = Field(description="a window with a larger share of missing cells is not scored")
    latent: int = Field(description="length of a code")
    decodes: bool = Field(description="whether the bundle has a decoder of its own, as /decode needs")
    threshold: float = Field(description="of the scores of /anomaly_score/rows; those above it are anomalous")
    limits: LimitFacts


class EncodeResponse(Contract):
    """Codes, one a window."""

    model_version: str
    codes: list[list[float]]


class DecodeResponse(Contract):
    """Windows in engineering units, one a code."""

    model_version: str
    windows: list[list[list[float]]]


class ReconstructResponse(Contract):
    """What the model expected instead, in engineering units, one a window."""

    model_version: str
    reconstructions: list[list[list[float]]]


class WindowScores(Contract):
    """The graph's own score of each window, without memory: not what the threshold is for."""

    model_version: str
    scores: list[float | None] = Field(description="higher is more anomalous; null: too many cells are missing")
    sensor_errors: list[list[float] | None] = Field(
        description="signed residuals of each window's last row, in standard deviations of normal data"
    )


class RowScores(Contract):
    """What the daemon would have made of the rows, had it begun with the first of them."""

    model_version: str
    threshold: float
    scores: list[float | None] = Field(description="one a row; null where the row was not scored, and flags say why")
    anomalous: list[bool] = Field(description="whether the score lies above the threshold")
    flags: list[int] = Field(description="bits of RowFlag, as on the scores topic")


@dataclass(frozen=True, slots=True)
class Requests:
    """The three forms of request, for one bundle."""

    windows: type[RootModel[Any]]  # .root is {"window": ...} or {"windows": ...}
    codes: type[RootModel[Any]]  # .root is {"code": ...} or {"codes": ...}
    rows: type[Contract]  # .rows, each with .time and .values


def requests(manifest: Manifest, limits: Serve) -> Requests:
    """The forms that fit a bundle and stay within the limits."""
    names = ", ".join(sensor.name for sensor in manifest.sensors)[:500]
    row = _exactly(len(manifest.sensors), Number | None)
    window = _exactly(manifest.window, row)
    code = _exactly(manifest.latent, Annotated[float, Field(strict=True, ge=-FURTHEST_CODE, le=FURTHEST_CODE)])
    columns = f"columns in this order: {names}; engineering units, null is missing"
    one_row: Any = create_model(
        "Row",
        __base__=Contract,
        time=(Seconds, Field(description="seconds since 1970-01-01 UTC; rows are in order")),
        values=(row, Field(description=columns)),
    )
    return Requests(
        windows=_one_or_many("Window", "window", window, limits.max_windows, f"rows, oldest first; {columns}"),
        codes=_one_or_many("Code", "code", code, limits.max_windows, "a code, as /encode gives it"),
        rows=create_model(
            "RowsRequest",
            __base__=Contract,
            rows=(
                list[one_row],
                Field(min_length=1, max_length=limits.max_rows, description="of one asset, oldest first"),
            ),
        ),
    )


def _exactly(count: int, item: Any) -> Any:
    return Annotated[list[item], Field(min_length=count, max_length=count)]


def _one_or_many(title: str, name: str, item: Any, most: int, meaning: str) -> type[RootModel[Any]]:
    """{name: item} or {names: [item, ...]}."""
    plural = f"{name}s"
    single: dict[str, Any] = {name: (item, Field(description=meaning))}
    batch: dict[str, Any] = {
        plural: (list[item], Field(min_length=1, max_length=most, description=f"a batch; each: {meaning}"))
    }
    one: Any = create_model(f"One{title}", __base__=Contract, **single)
    many: Any = create_model(f"Many{title}s", __base__=Contract, **batch)

    def which(given: Any) -> str:
        return plural if isinstance(given, dict) and plural in given else name

    either = Annotated[Annotated[one, Tag(name)] | Annotated[many, Tag(plural)], Discriminator(which)]
    return create_model(f"{title}Request", __base__=RootModel[either])
