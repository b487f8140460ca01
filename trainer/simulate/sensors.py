"""The plant's sensors: unit, plausible range, measurement noise and resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.training import SensorSettings


@dataclass(frozen=True, slots=True)
class Instrument:
    """How one quantity is measured. Noise is Gaussian; the resolution is finer, so equal neighbours are rare."""

    name: str
    unit: str
    low: float  # lowest plausible value, engineering units
    high: float
    noise: float  # standard deviation, engineering units
    decimals: int


INSTRUMENTS = (
    Instrument("speed", "rpm", 0.0, 2000.0, 1.5, 2),
    Instrument("flow", "m3/h", 0.0, 300.0, 0.8, 3),
    Instrument("suction_pressure", "bar", -1.0, 3.0, 0.006, 5),
    Instrument("discharge_pressure", "bar", 0.0, 12.0, 0.02, 4),
    Instrument("power", "kW", 0.0, 75.0, 0.15, 3),
    Instrument("current", "A", 0.0, 140.0, 0.25, 3),
    Instrument("motor_temperature", "degC", -10.0, 130.0, 0.25, 3),
    Instrument("bearing_temperature", "degC", -10.0, 120.0, 0.25, 3),
    Instrument("vibration", "mm/s", 0.0, 45.0, 0.06, 4),
    Instrument("ambient", "degC", -20.0, 50.0, 0.15, 3),
)
NAMES = tuple(instrument.name for instrument in INSTRUMENTS)
COLUMN = {name: column for column, name in enumerate(NAMES)}


def sensor_settings() -> dict[str, SensorSettings]:
    """The section `training.<model>.sensors` of a configuration for this plant."""
    return {i.name: SensorSettings(unit=i.unit, low=i.low, high=i.high) for i in INSTRUMENTS}


def measure(truth: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Adds noise and resolution to true values, (row, asset, sensor)."""
    noise = np.array([i.noise for i in INSTRUMENTS])
    seen = truth + rng.standard_normal(truth.shape) * noise
    for column, instrument in enumerate(INSTRUMENTS):
        seen[..., column] = np.round(seen[..., column], instrument.decimals)
    return np.asarray(seen)
