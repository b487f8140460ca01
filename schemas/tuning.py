"""Where `watchkeeper tune` looks for a better training: one axis a key of `training.NAME`."""

from pydantic import Field, JsonValue, model_validator

from schemas.base import Contract


class Axis(Contract):
    """The values that one key of a training may take: some choices, or a range."""

    choices: tuple[JsonValue, ...] | None = Field(default=None, min_length=1, description="or low and high")
    low: float | None = Field(default=None, description="range: its lower end")
    high: float | None = Field(default=None, description="range: its upper end")
    log: bool = Field(default=False, description="range: tried evenly on a logarithmic scale")
    whole: bool = Field(default=False, description="range: whole numbers only")
    points: int = Field(default=5, ge=2, le=100, description="range: how many values a grid takes from it")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Axis":
        if self.choices is not None:
            if self.low is not None or self.high is not None:
                raise ValueError("an axis has choices, or low and high")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("an axis has choices, or low below high")
        elif self.log and self.low <= 0:
            raise ValueError("an axis with log: true has low above 0")
        return self
