"""The benchmark's feed: 40 assets with 10 coupled sensors, about 230 bytes of flat JSON a record, with excursions.

Every sensor is a mixture of three slow rhythms of its asset plus noise, so that an autoencoder has something to learn.
An excursion lifts one sensor far above its noise for some rows, so that incidents open and close all the time.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ASSETS = tuple(f"pump-{number:02d}" for number in range(40))
SENSORS = (
    "flow",
    "head",
    "power",
    "speed",
    "inlet_pressure",
    "outlet_pressure",
    "oil_temp",
    "motor_temp",
    "vib_axial",
    "vib_radial",
)
WINDOW = 32  # rows
PERIODS = (97.0, 241.0, 613.0)  # rows of the three rhythms
NOISE = 0.05
FIRST = 64  # the first asset's first excursion begins here, when every window is full
LIFT = 3.0  # sixty times the noise: opens at once, whatever the threshold

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Excursions:
    """Every `every` rows of an asset, `length` rows are lifted; assets are staggered."""

    every: int
    length: int


def values(asset: int, first: int, rows: int, excursions: Excursions | None) -> Floats:
    """Rows `first` to `first + rows` of an asset, (row, sensor). The same arguments give the same values."""
    mixing = np.random.default_rng(7)
    weights = mixing.normal(0.0, 1.0, (len(PERIODS), len(SENSORS)))
    base = mixing.uniform(20.0, 60.0, len(SENSORS))
    time = np.arange(first, first + rows)
    rhythms = np.sin(2 * np.pi * time[:, None] / np.array(PERIODS) + asset)
    noise = np.random.default_rng([asset, first]).normal(0.0, NOISE, (rows, len(SENSORS)))
    cells = base + rhythms @ weights + noise
    if excursions is not None:
        phase = (time - FIRST - asset * excursions.every // len(ASSETS)) % excursions.every
        lifted = (phase < excursions.length) & (time >= FIRST)
        cells[lifted, asset % len(SENSORS)] += LIFT
    return np.asarray(np.round(cells, 3))


def encode(asset: str, timestamp_s: float, row: Floats) -> bytes:
    """One record as flat wide JSON."""
    return _encode({"asset": asset, "timestamp": timestamp_s} | dict(zip(SENSORS, row.tolist(), strict=True)))


def block(first: int, rows: int, start_s: float, period_s: float, excursions: Excursions | None) -> list[list[bytes]]:
    """Encoded records, one list a row with one record an asset."""
    cells = [values(asset, first, rows, excursions) for asset in range(len(ASSETS))]
    return [
        [
            encode(name, round(start_s + (first + row) * period_s, 3), cells[asset][row])
            for asset, name in enumerate(ASSETS)
        ]
        for row in range(rows)
    ]
