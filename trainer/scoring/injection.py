"""Synthetic anomalies in normal rows: what scores are chosen by where nobody has labelled anything.

Goswami et al., Unsupervised Model Selection for Time-series Anomaly Detection, ICLR 2023. Six kinds: spikes that come
again and again, a level shift, a slow drift, a flatline, noise, and a broken correlation (a sensor that shows another
time's values). Sizes, lengths and sensors are drawn. Half of the spikes, shifts, drifts and noises move sensors against
each other, the other half as they move together in the history, only farther: a real fault can do either.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bytes, Doubles, Floats, Ints

# What has no physical scale is drawn evenly on a logarithmic one.
SIZES = 0.5, 6.0  # of a sensor's standard deviation
MIN_ROWS = 5  # of an event: what passes sooner is no alarm (the on-delay)
MAX_ROWS = 200  # of an event, and ...
HISTORY_PER_EVENT = 8  # ... at most one eighth of the history
SPIKE_SHARE = 0.2  # of the rows of an event
NORMAL, ANOMALOUS, AFTER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class NormalRows:
    """The history that anomalies are drawn from: sizes, sensors, and values of another time."""

    values: Floats  # (row, sensor) of the history, NaN = missing
    sd: Doubles  # (sensor,)
    live: Ints  # sensors that move

    @classmethod
    def of(cls, values: Floats) -> "NormalRows":
        """values: (row, sensor), NaN = missing."""
        sd = np.nanstd(values.astype(np.float64), axis=0)
        largest = np.nanmax(np.abs(values), axis=0)
        return cls(values, sd, np.flatnonzero(sd > 1e-6 * np.maximum(largest, 1e-6)))


def inject(
    values: Floats, kind: str, normal: NormalRows, window: int, rng: np.random.Generator
) -> tuple[Floats, Bytes]:
    """Rows (row, sensor) with events of one kind, and what each row is: NORMAL, ANOMALOUS or AFTER.

    AFTER marks the rows just after an event: a window that ends there still holds anomalous rows, and is not counted.
    """
    rows = len(values)
    changed, marks = values.copy(), np.zeros(rows, np.int8)
    longest = max(min(MAX_ROWS, len(normal.values) // HISTORY_PER_EVENT), 4 * MIN_ROWS)
    begin = int(rng.integers(window, window + 20))
    while begin < rows - MIN_ROWS:
        length = min(int(_between(rng, MIN_ROWS, longest)), rows - begin)
        event = slice(begin, begin + length)
        changed[event] = KINDS[kind](values[event], normal, rng)
        marks[event] = ANOMALOUS
        marks[begin + length : begin + length + window] = AFTER
        begin += length + window + int(rng.integers(max(5, length), max(10, 2 * length) + 10))
    return changed, marks


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _some(normal: NormalRows, rng: np.random.Generator) -> Ints:
    """One sensor, or up to half of them."""
    count = int(_between(rng, 1, max(2, len(normal.live) / 2 + 1)))
    return rng.choice(normal.live, min(count, len(normal.live)), replace=False)


def _step(normal: NormalRows, rng: np.random.Generator) -> Doubles:
    """How far each sensor is moved, (sensor,), engineering units."""
    size = _between(rng, *SIZES)
    if rng.random() < 0.5:
        one, other = normal.values[rng.integers(0, len(normal.values), 2)]
        together = np.zeros(len(normal.sd))
        difference = np.nan_to_num((one - other).astype(np.float64))
        together[normal.live] = difference[normal.live] / normal.sd[normal.live]
        farthest = np.abs(together).max(initial=0.0)
        return np.asarray(size * normal.sd * together / (farthest or 1.0))
    moved, sensors = np.zeros(len(normal.sd)), _some(normal, rng)
    factor = rng.choice([-1.0, 1.0], len(sensors)) * np.exp(rng.uniform(-0.7, 0, len(sensors)))
    moved[sensors] = size * factor * normal.sd[sensors]
    return moved


def _spike(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    return np.asarray(rows + 1.5 * _step(normal, rng) * (rng.random((len(rows), 1)) < SPIKE_SHARE))


def _shift(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    return np.asarray(rows + _step(normal, rng))


def _drift(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    return np.asarray(rows + _step(normal, rng) * np.linspace(0, 1, len(rows))[:, None])


def _noise(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    return np.asarray(rows + rng.normal(size=rows.shape) * np.abs(_step(normal, rng)))


def _flatline(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    still, sensors = rows.astype(np.float64), _some(normal, rng)
    still[:, sensors] = still[0, sensors]
    return still


def _break(rows: Floats, normal: NormalRows, rng: np.random.Generator) -> Doubles:
    elsewhere = int(rng.integers(0, max(1, len(normal.values) - len(rows))))
    broken, sensors = rows.astype(np.float64), _some(normal, rng)
    other = normal.values[elsewhere : elsewhere + len(rows)]
    broken[: len(other), sensors] = other[:, sensors]
    return broken


KINDS: dict[str, Callable[[Floats, NormalRows, np.random.Generator], Doubles]] = {
    "spikes": _spike,
    "level shift": _shift,
    "slow drift": _drift,
    "flatline": _flatline,
    "noise": _noise,
    "broken correlation": _break,
}
