"""What happens to values before the network, inside the graph: fill, log1p where asked, scale, clip; and back.

Everything is per sensor and stateless, so training and serving cannot disagree on it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from schemas.config import SensorSettings, Training

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

CLIP = 20.0  # scaled values beyond it say no more than "far out", and would swamp the network's other inputs
SAME = 1e-6  # a spread below this share of a sensor's size is float32's rounding, not a signal
IQR_PER_SD = 1.349  # of a Gaussian: makes robust scaling comparable with standard scaling


@dataclass(frozen=True, slots=True)
class Scaling:
    """Per sensor, (sensor,) each. scaled = (log1p'd or plain value - shift) / scale."""

    fill: Doubles  # engineering units
    log: NDArray[np.bool_]
    shift: Doubles
    scale: Doubles
    constant: NDArray[np.bool_]  # no spread in training: scale is 1
    low: Doubles  # scaled values that training held
    high: Doubles


def fit_scaling(
    cells: Floats, training: Training, settings: list[SensorSettings], whole: Scaling | None = None
) -> Scaling:
    """Statistics of training cells (cell, sensor), NaN = missing.

    whole: the scaling of all training rows, which stands in where a part of them (a fold) never saw a sensor;
    without it every sensor must have a value.
    """
    values = cells.astype(np.float64)
    if whole is not None:
        unseen = np.isnan(values).all(axis=0)
        values[:1, unseen] = whole.fill[unseen]
    middle = np.nanmedian if training.imputation == "median" else np.nanmean
    fill = np.asarray(middle(values, axis=0), np.float64)
    log = np.array([s.log1p for s in settings])
    values = np.where(log, _log1p(values), values)
    shift, scale = np.empty(len(settings)), np.empty(len(settings))
    for column, sensor in enumerate(settings):
        shift[column], scale[column] = _location(values[:, column], sensor.scaling or training.scaling)
    size = np.nanmax(np.abs(values), axis=0)
    constant = np.nanstd(values, axis=0) <= SAME * np.maximum(size, SAME)
    scale = np.where(constant, 1.0, scale)
    scaled = np.clip((values - shift) / scale, -CLIP, CLIP)
    return Scaling(fill, log, shift, scale, constant, np.nanmin(scaled, axis=0), np.nanmax(scaled, axis=0))


def _location(values: Doubles, scaling: str) -> tuple[float, float]:
    """Shift and scale of one sensor; where a scale has no spread the standard deviation stands in."""
    sd = float(np.nanstd(values))
    if scaling == "minmax":
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        return low, high - low if high > low else 1.0
    if scaling == "robust":
        low, middle, high = np.nanpercentile(values, [25, 50, 75])
        return float(middle), float(high - low) / IQR_PER_SD or sd or 1.0
    return float(np.nanmean(values)), sd or 1.0


def _log1p(values: Doubles) -> Doubles:
    """Odd, so that a sensor's negative noise around 0 is no error: sign(x) log(1 + |x|)."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


class Preprocess(nn.Module):
    """The graph's first and last step. float32 all through, as in serving."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self._any_log = bool(scaling.log.any())
        self.fill: Tensor
        self.log: Tensor
        self.shift: Tensor
        self.scale: Tensor
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.tensor(scaling.low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(scaling.high, dtype=torch.float32))
        self.register_buffer("fill", torch.tensor(scaling.fill, dtype=torch.float32))
        self.register_buffer("log", torch.tensor(scaling.log))
        self.register_buffer("shift", torch.tensor(scaling.shift, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32))

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, window, sensor) engineering units, NaN = missing -> scaled values and where they were present."""
        cells = window.flatten(1)
        present = ~torch.isnan(cells)
        values = torch.where(present, cells, _along(self.fill, window))
        if self._any_log:
            values = torch.where(_along(self.log, window), torch.sign(values) * torch.log1p(values.abs()), values)
        scaled = (values - _along(self.shift, window)) / _along(self.scale, window)
        return _rows(scaled.clamp(-CLIP, CLIP), window), _rows(present, window)

    def shown(self, scaled: Tensor) -> Tensor:
        """What the network is shown of scaled values; its residual is taken from the values themselves.

        Nothing beyond what training held: there it could only extrapolate, and one wild sensor would spoil the guess
        of all the others.
        """
        return _rows(scaled.flatten(1).clamp(_along(self.low, scaled), _along(self.high, scaled)), scaled)

    def hidden(self) -> Tensor:
        """The scaled value that a missing cell gets, (sensor,)."""
        missing = torch.full((1, 1, len(self.fill)), torch.nan)
        scaled, _ = self(missing)
        return scaled[0, 0]  # type: ignore[no-any-return]

    def restore(self, scaled: Tensor) -> Tensor:
        """Scaled values back to engineering units."""
        values = scaled.flatten(1) * _along(self.scale, scaled) + _along(self.shift, scaled)
        if self._any_log:
            # Past the clip nothing is known, and expm1 would overflow.
            grown = torch.sign(values) * torch.expm1(values.abs().clamp(max=80.0))
            values = torch.where(_along(self.log, scaled), grown, values)
        return _rows(values, scaled)


def _along(constant: Tensor, window: Tensor) -> Tensor:
    """(sensor,) -> (window * sensor,), for cells that lie in one row.

    onnxruntime broadcasts along a last axis of a handful of sensors so slowly that it cost more than the network.
    """
    return constant.repeat(window.shape[1])


def _rows(cells: Tensor, window: Tensor) -> Tensor:
    """(batch, window * sensor) -> the shape of `window`."""
    return cells.reshape(-1, *window.shape[1:])
