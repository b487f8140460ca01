"""The bundle's manifest: everything the detector must know of a model beside its graph."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from schemas.base import Contract, Moment

MAX_ROWS = 2**31 - 1  # what counts rows has 32 bits
# Beyond these the square of a float32 reading, so scaled, would be no double any more.
Scale = Annotated[float, Field(ge=-1e50, le=1e50)]
Positive = Annotated[float, Field(ge=1e-50, le=1e50)]


class Sensor(Contract):
    """One sensor, in the order of the graph's last axis."""

    name: str = Field(min_length=1)
    unit: str = ""
    low: float | None = Field(default=None, description="lowest plausible value (engineering units); null: no limit")
    high: float | None = Field(default=None, description="highest plausible value (engineering units)")
    stuck_rows: int | None = Field(
        default=None,
        ge=2,
        le=MAX_ROWS,
        description="this many equal values in a row are never normal; null: constancy is normal",
    )


ComponentName = Literal["values", "residual", "forecast", "distance", "latent_neighbours", "latent_centres"]


class ScoreComponent(Contract):
    """One component of a sum: `width` columns of the graph's output `parts`, in the order of the components.

    With a center it is the Mahalanobis distance of its vector, smoothed (EWMA) by vector_alpha; without one it is its
    single column as it is. Either is divided by `scale`, so that components of any size can be added.
    """

    name: ComponentName
    width: int = Field(ge=1, le=100_000)
    vector_alpha: float = Field(default=1.0, gt=0, le=1)
    center: tuple[Scale, ...] = Field(default=(), description="(width,); empty: the single column is the component")
    precision: tuple[tuple[Scale, ...], ...] = Field(default=(), description="(width, width)")
    scale: Positive = Field(description="the component's 95th percentile on held-out normal windows")

    @model_validator(mode="after")
    def _shapes(self) -> "ScoreComponent":
        if not self.center and self.width == 1 and not self.precision:
            return self
        _check_shapes(self.center, self.precision)
        if len(self.center) != self.width:
            raise ValueError("a component's center has another length than its width")
        return self


class Scoring(Contract):
    """How the graph's outputs become one score per window (detector/core/scoring.py; memory is per asset).

    graph: the graph's own `score`. mahalanobis: the graph's `sensor_error` vector is smoothed (EWMA), and its
    Mahalanobis distance to `center` under `precision` is the score. sum: the graph's output `parts` holds the vectors
    of all components side by side; their distances are added up. Any of these scores is then smoothed by
    `score_alpha`. An alpha of 1 means no smoothing.
    """

    renamed: ClassVar[Mapping[str, str]] = {"parts": "components"}

    method: Literal["graph", "mahalanobis", "sum"]
    vector_alpha: float = Field(default=1.0, gt=0, le=1)
    center: tuple[Scale, ...] = Field(default=(), description="(sensor,)")
    precision: tuple[tuple[Scale, ...], ...] = Field(default=(), description="(sensor, sensor)")
    score_alpha: float = Field(default=1.0, gt=0, le=1)
    components: tuple[ScoreComponent, ...] = Field(default=(), description="of a sum")

    @model_validator(mode="after")
    def _shapes(self) -> "Scoring":
        if self.method == "mahalanobis":
            _check_shapes(self.center, self.precision)
        if any(row[i] <= 0 for i, row in enumerate(self.precision)):
            raise ValueError("a precision matrix has a positive diagonal")
        if bool(self.components) != (self.method == "sum"):
            raise ValueError("a sum, and nothing else, has components")
        return self


def _check_shapes(center: tuple[float, ...], precision: tuple[tuple[float, ...], ...]) -> None:
    n = len(center)
    if n == 0 or any(len(row) != n for row in (precision, *precision)):
        raise ValueError("mahalanobis needs a center of length S and a precision matrix of S by S")
    if any(row[i] <= 0 for i, row in enumerate(precision)):
        raise ValueError("a precision matrix has a positive diagonal")


class Tried(Contract):
    """A candidate score, and how well it found synthetic anomalies in held-out normal windows."""

    renamed: ClassVar[Mapping[str, str]] = {"parts": "components"}

    score: str = Field(description="for people")
    components: tuple[ComponentName, ...]
    found: dict[str, float] = Field(description="kind of anomaly -> average precision, 0 to 1")
    mean: float = Field(description="over the kinds")
    chosen: bool


class Choice(Contract):
    """How `score: auto` came to its score: each component set at its best smoothing. `values` alone has no network."""

    kinds: tuple[str, ...]
    tried: tuple[Tried, ...]


ThresholdMethod = Literal["percentile", "mean_sigma", "mad", "pot", "alarm_rate"]


class Calibration(Contract):
    """The threshold and where it came from; scores at or below it are normal. All on normal windows never fitted on."""

    method: ThresholdMethod
    parameters: dict[str, float] = Field(description="what was asked for, and what was found on the way")
    threshold: Positive
    lower_threshold: Positive = Field(description="an incident closes below this (hysteresis)")
    windows: int = Field(ge=1, description="number of held-out windows")
    quantiles: dict[str, float] = Field(description="sketch of the held-out scores: quantile -> score")
    mean: float
    sd: float = Field(ge=0)


class Timing(Contract):
    """Alarm delays, seconds of event time."""

    on_delay_s: float = Field(ge=0)
    off_delay_s: float = Field(ge=0)


class ReferenceSignal(Contract):
    """A signal's block means on normal data: what drift is judged against."""

    name: str = Field(description="'score' or a sensor's name")
    mean: Scale
    block_sd: float = Field(ge=0, le=1e50, description="standard deviation of block means")


class DriftReference(Contract):
    """Blocks of `block_rows` consecutive rows of one asset (Page & Hinkley-like tests assume independence; blocks do
    not).
    """

    block_rows: int = Field(ge=1, le=MAX_ROWS)
    signals: tuple[ReferenceSignal, ...]


class TrainingData(Contract):
    """What the model was fitted on."""

    fingerprint: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 over names, times and values")
    rows: int
    assets: tuple[str, ...]
    start: Moment
    end: Moment
    source: str = Field(description="file names or topic span, without secrets")


class FileEntry(Contract):
    """A file of the bundle."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Manifest(Contract):
    """`manifest.json` of a bundle. Versions are immutable: a change is a new version."""

    version: Literal[1] = 1
    model: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    model_version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$")
    parent_version: str | None = None
    created: Moment
    family: str
    sensors: tuple[Sensor, ...] = Field(min_length=1)
    window: int = Field(ge=1, le=4096, description="rows")
    stride: int = Field(default=1, ge=1, le=MAX_ROWS, description="rows between scored windows")
    period_s: float = Field(ge=1e-6, le=1e10, description="usual time between rows, seconds")
    max_gap_s: float = Field(gt=0, description="a longer gap empties the window, seconds")
    fill_limit: float = Field(ge=0, le=1, description="largest share of missing cells in a window that is scored")
    latent: int = Field(ge=0, description="length of the latent code; 0: the family has none")
    scoring: Scoring
    choice: Choice | None = Field(default=None, description="how the score was chosen; null: by hand")
    calibration: Calibration
    timing: Timing
    drift: DriftReference | None
    training: TrainingData
    metrics: dict[str, float]
    libraries: dict[str, str]
    golden_tolerance: float = Field(gt=0, lt=1, description="relative tolerance of the golden check")
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _agrees(self) -> "Manifest":
        names = [s.name for s in self.sensors]
        if len(set(names)) != len(names):
            raise ValueError("sensor names are not unique")
        if self.scoring.method == "mahalanobis" and len(self.scoring.center) != len(names):
            raise ValueError("scoring.center has another length than sensors")
        if any(component.width not in (1, len(names)) for component in self.scoring.components):
            raise ValueError("a component of scoring has neither one column nor one a sensor")
        if "model.onnx" not in self.files or "golden.json" not in self.files:
            raise ValueError("files must list model.onnx and golden.json")
        return self


class Golden(Contract):
    """`golden.json`: windows and what the graph must give for them (null stands for a missing cell)."""

    version: Literal[1] = 1
    windows: tuple[tuple[tuple[float | None, ...], ...], ...] = Field(description="(case, window, sensor)")
    score: tuple[float, ...] = Field(description="(case,)")
    sensor_error: tuple[tuple[float, ...], ...] = Field(description="(case, sensor)")
    parts: tuple[tuple[float, ...], ...] = Field(default=(), description="(case, column); of a score that is a sum")


class Pointer(Contract):
    """The file `current` beside a model's versions: which one is in use, and which one before it."""

    version: Literal[1] = 1
    model_version: str
    previous: str | None = None
