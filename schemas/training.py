"""The configuration's section `training`: one entry a model, and what it sets of sensors, score and threshold."""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from schemas.base import Contract
from schemas.families import (
    Adversarial,
    Contractive,
    Denoising,
    FamilyName,
    Sparse,
    Transformer,
    Variational,
    WinnerTakeAll,
)
from schemas.manifest import ComponentName, ThresholdMethod


class SensorSettings(Contract):
    """What is known of a sensor beyond its data."""

    renamed: ClassVar[Mapping[str, str]] = {"min_deviation": "deadband"}

    unit: str = Field(default="", description="engineering unit, shown in alerts")
    low: float | None = Field(default=None, description="lowest plausible value, engineering units; null: no limit")
    high: float | None = Field(default=None, description="highest plausible value, engineering units; null: no limit")
    log1p: bool = Field(
        default=False, description="the network sees sign(x) log(1 + |x|): for values over several powers of ten"
    )
    scaling: Literal["standard", "minmax", "robust"] | None = Field(default=None, description="null: the model's")
    difference: bool = Field(
        default=False, description="the network sees the change from row to row: for levels that wander"
    )
    direction: Literal["both", "high", "low"] = Field(
        default="both", description="high: only more than expected counts; low: only less"
    )
    deadband: float = Field(
        default=0.0, ge=0, description="engineering units; a deviation counts by what it goes beyond this"
    )
    weight: float = Field(default=1.0, ge=0.01, le=100, description="of the sensor's deviation in the score")
    categories: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=19,
        description="the values of a sensor that shows a state, as numbers; any other value is an unknown category",
    )

    @model_validator(mode="after")
    def _is_a_number_or_a_state(self) -> "SensorSettings":
        if self.categories is None:
            return self
        if self.log1p or self.difference or self.deadband or self.direction != "both" or self.scaling:
            raise ValueError(
                "a sensor with categories is not a quantity: leave out log1p, scaling, difference and the like"
            )
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("categories has a value twice")
        return self

    @model_validator(mode="after")
    def _has_one_unit(self) -> "SensorSettings":
        if self.log1p and self.deadband:
            raise ValueError("deadband is in engineering units, and log1p has none: leave one of them out")
        return self


class Threshold(Contract):
    """How the threshold is set from the scores of held-out normal windows."""

    method: ThresholdMethod = Field(
        default="percentile",
        description="mad: by the median, for histories with faults in them; pot: peaks over threshold, for a wanted "
        "risk; alarm_rate: for as many alarms as people can answer (docs/how-to/choose-a-threshold.md)",
    )
    percentile: float = Field(
        default=99.9, gt=0, le=100, description="of held-out scores; of a short history this is about their largest"
    )
    k: float = Field(
        default=2.0,
        gt=0,
        le=1e6,
        description="mean_sigma: mean + k standard deviations; mad: median + k · 1.4826 · median absolute deviation",
    )
    risk: float = Field(
        default=1e-4,
        ge=1e-9,
        lt=0.5,
        description="pot: the share of normal rows that may lie above the threshold, before the margin",
    )
    tail_percentile: float = Field(
        default=98.0,
        ge=50,
        lt=100,
        description="pot: of held-out scores, where the tail begins that a Pareto distribution is fitted to",
    )
    alarms_per_week: float = Field(
        default=1.0,
        ge=0,
        le=1e6,
        description="alarm_rate: the normal history may raise this many, on average of its assets and before the "
        "margin; less than one in the whole history counts as none",
    )
    margin: float = Field(
        default=1.25,
        gt=0,
        le=1e6,
        description="factor on the threshold found; one row in a thousand is ten rows a week at one a minute",
    )
    hysteresis: float = Field(default=0.8, gt=0, le=1, description="lower threshold / threshold")
    on_delay_s: float | None = Field(default=None, ge=0, description="null: 5 periods")
    off_delay_s: float | None = Field(default=None, ge=0, description="null: 10 periods")

    @model_validator(mode="after")
    def _is_of_the_tail(self) -> "Threshold":
        tail = 1 - self.tail_percentile / 100
        if self.method == "pot" and self.risk >= tail:
            raise ValueError(
                f"risk ({self.risk:g}) must be below the share of scores above tail_percentile ({tail:.3g}): "
                "for so large a risk take method: percentile"
            )
        return self


class ComponentSettings(Contract):
    """One component of a score that is a sum."""

    name: ComponentName = Field(
        description="values: the last row's values themselves; residual: what the network does not rebuild of them; "
        "forecast: what a forecaster does not expect of them; distance: from the nearest of some typical windows; "
        "latent_neighbours: of the window's code from the nearest codes of training windows; latent_centres: of the "
        "code from the nearest of some typical codes"
    )
    vector_alpha: float = Field(default=1.0, gt=0, le=1, description="EWMA of the component's vector; 1: none")


class Training(Contract):
    """How a model is fitted. The defaults suit some thousand rows of a handful of sensors."""

    renamed: ClassVar[Mapping[str, str]] = {"parts": "components"}

    family: FamilyName = Field(default="dense", description="docs/explanation/families.md says what each is for")
    sensors: dict[str, SensorSettings] | None = Field(default=None, description="null: every numeric column")
    window: int = Field(default=10, ge=1, le=4096, description="rows; 1 is the plain tabular autoencoder")
    stride: int = Field(default=1, ge=1, description="rows between scored windows")
    period_s: float | None = Field(default=None, gt=0, description="null: the median step of the data")
    max_gap_s: float | None = Field(default=None, gt=0, description="null: 10 periods")
    fill_limit: float = Field(
        default=0.25, ge=0, le=1, description="largest share of missing cells in a window that is scored"
    )
    imputation: Literal["mean", "median", "knn"] = Field(
        default="mean", description="knn: from the most similar rows of the history, by the sensors that are there"
    )
    scaling: Literal["standard", "minmax", "robust"] = Field(
        default="standard",
        description="of all sensors: by mean and standard deviation, minimum and maximum, or median and quartiles",
    )
    hidden: tuple[PositiveInt, ...] = Field(
        default=(64,), min_length=1, description="widths of the encoder's hidden layers (channels for conv)"
    )
    decoder: tuple[PositiveInt, ...] | None = Field(
        default=None,
        min_length=1,
        description="the same of the decoder, from the code on; null: the encoder's mirrored",
    )
    latent: int | None = Field(
        default=None,
        ge=1,
        description="null: the square root of the sensors, at least 2; "
        "for sparse and winner_take_all the last of `hidden`",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of units that are left out in a step of training"
    )
    l2: float = Field(default=1e-5, ge=0, description="weight decay")
    l1: float = Field(default=0.0, ge=0, description="weight of the sum of all weights' absolute values")
    loss: Literal["mse", "mae", "huber", "bce"] = Field(
        default="mse", description="mae also scores by absolute residuals; bce (cross-entropy) needs scaling: minmax"
    )
    epochs: int = Field(default=60, ge=1, description="most passes over the history")
    patience: int = Field(default=8, ge=1, description="epochs without a better validation loss before stopping")
    batch: int = Field(default=512, ge=1, description="at most; an epoch has at least 8 steps")
    learning_rate: float = Field(default=2e-3, gt=0, description="of the optimiser's first step")
    validation_share: float = Field(default=0.2, gt=0, lt=0.9, description="last part of the history, in time")
    folds: int = Field(default=3, ge=0, le=20, description="blocked folds for held-out scores; 0: the validation part")
    max_windows: int = Field(
        default=20_000,
        ge=100,
        description="windows a network is fitted on; more are thinned evenly (neighbours share most of their rows)",
    )
    seed: int = Field(default=0, description="of everything that is drawn; the same seed gives the same bundle")
    trim_percentile: float | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="fit again on the windows whose error is at or below this percentile, say 75: for a history with "
        "faults in it; null: once, on all",
    )
    score: Literal["auto", "sum", "mahalanobis", "last_row", "window"] = Field(
        default="auto",
        description="auto: a sum whose components and smoothing are chosen on the history, with synthetic anomalies in "
        "it; sum: of `components`; mahalanobis: of the smoothed residual; last_row, window: the mean error "
        "(docs/how-to/choose-a-model.md)",
    )
    components: tuple[ComponentSettings, ...] = Field(default=(), description="of score: sum")
    vector_alpha: float = Field(default=0.35, gt=0, le=1, description="EWMA of the residual vector; 1: none")
    score_alpha: float = Field(default=0.2, gt=0, le=1, description="EWMA of the score; 1: none")
    threshold: Threshold = Threshold()
    sparse: Sparse | None = None
    denoising: Denoising | None = None
    contractive: Contractive | None = None
    variational: Variational | None = None
    winner_take_all: WinnerTakeAll | None = None
    adversarial: Adversarial | None = None
    transformer: Transformer | None = None

    @model_validator(mode="after")
    def _suits_the_family(self) -> "Training":
        for section in get_args(FamilyName):
            if section != self.family and getattr(self, section, None) is not None:
                raise ValueError(f"the section {section} is for family: {section}, and family is {self.family}")
        if self.family == "linear" and (self.dropout or self.l1 or self.decoder):
            raise ValueError("family: linear is solved, not trained: leave dropout, l1 and decoder out")
        heads = (self.transformer or Transformer()).heads
        if self.family == "transformer" and self.hidden[0] % heads:
            raise ValueError(f"transformer.heads ({heads}) must divide the first of hidden ({self.hidden[0]})")
        return self

    @model_validator(mode="after")
    def _suits_the_window(self) -> "Training":
        if self.window == 1 and any(sensor.difference for sensor in (self.sensors or {}).values()):
            raise ValueError("difference needs a window of at least 2 rows")
        return self

    @model_validator(mode="after")
    def _has_its_components(self) -> "Training":
        if bool(self.components) != (self.score == "sum"):
            raise ValueError("score: sum needs components, and no other score takes them")
        if self.window < 2 and any(component.name == "forecast" for component in self.components):
            raise ValueError("a forecast needs a window of at least 2 rows")
        return self

    @model_validator(mode="after")
    def _suits_the_loss(self) -> "Training":
        if self.loss != "mse" and self.family in {"linear", "variational"}:
            raise ValueError(f"family: {self.family} takes loss: mse alone")
        sensors = (self.sensors or {"": SensorSettings()}).values()
        if self.loss == "bce" and any((s.scaling or self.scaling) != "minmax" for s in sensors if not s.categories):
            raise ValueError("loss: bce needs values from 0 to 1: set scaling: minmax, for every sensor")
        return self
