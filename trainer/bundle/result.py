"""What a training gives: the bundle's parts, and what the report needs to show how they came about."""

from dataclasses import dataclass

from detector.bundles.store import GOLDEN, MODEL
from detector.core.arrays import Doubles, Floats
from schemas.manifest import Manifest
from trainer.fitting.fit import Curve


@dataclass(frozen=True, slots=True)
class Example:
    """One held-out normal window as the model sees it."""

    asset: str
    times: Doubles  # (window,) seconds since 1970-01-01 UTC
    observed: Floats  # (window, sensor) engineering units, NaN = missing
    reconstruction: Floats  # (window, sensor) engineering units
    score: float  # the bundle's score of this window, higher is more anomalous


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained, calibrated and exported model, not yet published. Sensor names and units stand in the manifest."""

    manifest: Manifest
    files: dict[str, bytes]  # what the manifest's hashes cover, by name
    curves: tuple[Curve, ...]  # the model's own first
    scores: Doubles  # (window,) scores of held-out normal windows, in time order within an asset
    sensor_errors: Floats  # (window, sensor) their signed errors at the last row, in held-out standard deviations
    examples: tuple[Example, ...]
    notes: tuple[str, ...]  # what a person should know of the data: constant sensors, gaps, thinning

    @property
    def threshold(self) -> float:
        """Scores above it are anomalous."""
        return self.manifest.calibration.threshold

    @property
    def graph(self) -> bytes:
        """The exported graph."""
        return self.files[MODEL]

    @property
    def golden(self) -> bytes:
        """The golden file."""
        return self.files[GOLDEN]
