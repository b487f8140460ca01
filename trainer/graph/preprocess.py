"""What happens to values before the network, inside the graph: fill, log1p, changes, scale, clip; and back.

Everything is per sensor and stateless, so training and serving cannot disagree on it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from detector.core.arrays import Bools, Doubles, Floats, Ints
from schemas.training import SensorSettings, Training
from trainer.graph.knn_imputation import Neighbours, typical_rows
from trainer.graph.one_hot import Categories

CLIP = 20.0  # scaled values beyond it say no more than "far out", and would swamp the network's other inputs
SAME = 1e-6  # a spread below this share of a sensor's size is float32's rounding, not a signal
SIGNS = {"both": 0, "high": 1, "low": -1}
IQR_PER_SD = 1.349  # of a Gaussian: makes robust scaling comparable with standard scaling


@dataclass(frozen=True, slots=True)
class Scaling:
    """Per sensor, (sensor,) each. scaled = (plain or log1p'd value or its change - shift) / scale."""

    fill: Doubles  # engineering units
    log: Bools
    difference: Bools  # it is the change from row to row that is scaled
    shift: Doubles
    scale: Doubles
    constant: Bools  # no spread in training: scale is 1
    low: Doubles  # scaled values that training held
    high: Doubles
    missing: Doubles  # the scaled value of a missing cell
    sign: Ints  # 1: only more than expected counts, -1: only less, 0: both
    deadband: Doubles  # scaled deviation up to which nothing counts
    weight: Doubles  # of the sensor in the score
    categories: tuple[tuple[float, ...], ...]  # of each sensor; empty: a quantity
    neighbours: Doubles | None  # (kept, sensor) scaled rows that missing cells are filled from


def fit_scaling(
    windows: Floats, training: Training, settings: list[SensorSettings], whole: Scaling | None = None
) -> Scaling:
    """Statistics of training windows (window, row, sensor), NaN = missing.

    whole: the scaling of all training rows, which stands in where a part of them (a fold) never saw a sensor;
    without it every sensor must have a value.
    """
    values = windows.astype(np.float64)
    if whole is not None:
        unseen = np.isnan(values).all(axis=(0, 1))
        values[0][:, unseen] = whole.fill[unseen]
    middle = np.nanmedian if training.imputation == "median" else np.nanmean
    fill = np.asarray(middle(values, axis=(0, 1)), np.float64)
    log, difference = np.array([s.log1p for s in settings]), np.array([s.difference for s in settings])
    values = np.where(log, _log1p(values), values) if log.any() else values
    values = _changes(values, difference).reshape(-1, len(settings))
    categories = tuple(s.categories or () for s in settings)
    categorical, unknown = np.array([bool(c) for c in categories]), np.array([float(len(c)) for c in categories])
    shift, scale = np.empty(len(settings)), np.empty(len(settings))
    for column, sensor in enumerate(settings):
        shift[column], scale[column] = _location(values[:, column], sensor.scaling or training.scaling)
    size = np.nanmax(np.abs(values), axis=0)
    constant = np.nanstd(values, axis=0) <= SAME * np.maximum(size, SAME)
    constant &= ~categorical
    shift, scale = np.where(categorical, 0.0, shift), np.where(constant | categorical, 1.0, scale)
    scaled = np.clip((values - shift) / scale, -CLIP, CLIP)
    level = np.where(difference, middle(values, axis=0), np.where(log, _log1p(fill), fill))
    return Scaling(
        fill, log, difference, shift, scale, constant,
        low=np.where(categorical, 0.0, np.nanmin(scaled, axis=0)),
        high=np.where(categorical, unknown, np.nanmax(scaled, axis=0)),
        missing=np.where(categorical, unknown, np.clip((level - shift) / scale, -CLIP, CLIP)),
        sign=np.array([SIGNS[s.direction] for s in settings]),
        deadband=np.array([s.deadband for s in settings]) / scale,
        weight=np.array([s.weight for s in settings]),
        categories=categories,
        neighbours=typical_rows(np.where(categorical, 0.0, scaled)) if training.imputation == "knn" else None,
    )  # fmt: skip


def _changes(values: Doubles, difference: Bools) -> Doubles:
    """Rows of windows (window, row, sensor) as changes from the row before where asked for; the first has none."""
    if not difference.any():
        return values
    before = np.concatenate([np.full_like(values[:, :1], np.nan), values[:, :-1]], axis=1)
    changes = np.where(difference, values - before, values)
    unseen = difference & np.isnan(changes).all(axis=(0, 1))
    changes[0][:, unseen] = 0.0  # never two rows in a row: no change is known
    return changes


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
    """Odd, so that a sensor's negative noise around 0 is not an error: sign(x) log(1 + |x|)."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


class Preprocess(nn.Module):
    """The graph's first and last step. float32 all through, as in serving."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self._any_log = bool(scaling.log.any())
        self._any_difference = bool(scaling.difference.any())
        self._all_counts = not (scaling.sign.any() or scaling.deadband.any())
        self.fill: Tensor
        self.log: Tensor
        self.difference: Tensor
        self.shift: Tensor
        self.scale: Tensor
        self.low: Tensor
        self.high: Tensor
        self.missing: Tensor
        self.sign: Tensor
        self.deadband: Tensor
        self.weight: Tensor
        for name in ("fill", "shift", "scale", "low", "high", "missing", "deadband", "weight"):
            self.register_buffer(name, torch.tensor(getattr(scaling, name), dtype=torch.float32))
        for name in ("log", "difference", "sign"):
            self.register_buffer(name, torch.tensor(getattr(scaling, name)))
        self._neighbours = None if scaling.neighbours is None else Neighbours(scaling.neighbours)
        self._categories = None if not any(scaling.categories) else Categories(scaling.categories)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, window, sensor) engineering units, NaN = missing -> scaled values and where they were present.

        A change is present where both of its rows are; so a window's first row has none.
        """
        values = self._logged(window.flatten(1), window)
        if self._any_difference:
            changes = values - _before(values, torch.full_like(values[:, : window.shape[2]], torch.nan))
            values = torch.where(_along(self.difference, window), changes, values)
        present = ~torch.isnan(values)
        scaled = (values - _along(self.shift, window)) / _along(self.scale, window)
        if self._categories is not None:
            numbers, categorical = self._categories(window).flatten(1), _along(self._categories.categorical, window)
            scaled = torch.where(categorical, numbers, scaled)
        scaled = torch.where(present, scaled.clamp(-CLIP, CLIP), _along(self.missing, window))
        if self._neighbours is not None:
            rows, there = scaled.reshape(-1, window.shape[2]), present.reshape(-1, window.shape[2])
            plain = ~self._categories.categorical if self._categories is not None else torch.ones_like(there[:1])
            scaled = torch.where(plain, self._neighbours(rows, there & plain), rows)
        return _rows(scaled, window), _rows(present, window)

    def shown(self, scaled: Tensor) -> Tensor:
        """What the network is shown of scaled values; its residual is taken from the values themselves.

        Nothing beyond what training held: there it could only extrapolate, and one wild sensor would distort the guess
        of all the others.
        """
        return _rows(scaled.flatten(1).clamp(_along(self.low, scaled), _along(self.high, scaled)), scaled)

    def apply_deadband(self, residual: Tensor) -> Tensor:
        """What counts of a residual (..., sensor), scaled units: beyond the deadband, in the declared direction."""
        if self._all_counts:
            return residual
        beyond = torch.sign(residual) * (residual.abs() - self.deadband).clamp(min=0.0)
        return torch.where(self.sign * beyond < 0, 0.0, beyond)

    def hidden(self) -> Tensor:
        """The scaled value that a missing cell gets, (sensor,)."""
        return self.missing

    def restore(self, scaled: Tensor, window: Tensor | None = None) -> Tensor:
        """Scaled values back to engineering units. window: what was observed, which changes are added to; without it
        they add up from the sensor's usual level.
        """
        values = scaled.flatten(1) * _along(self.scale, scaled) + _along(self.shift, scaled)
        if self._any_difference:
            values = torch.where(_along(self.difference, scaled), values + self._base(values, scaled, window), values)
        if self._any_log:
            # Past the clip nothing is known, and expm1 would overflow.
            grown = torch.sign(values) * torch.expm1(values.abs().clamp(max=80.0))
            values = torch.where(_along(self.log, scaled), grown, values)
        restored = _rows(values, scaled)
        return restored if self._categories is None else self._categories.restore(restored)

    def _logged(self, cells: Tensor, window: Tensor) -> Tensor:
        """Cells (batch, window * sensor), log1p'd where asked for."""
        return torch.where(_along(self.log, window), _log1p_of(cells), cells) if self._any_log else cells

    def _base(self, changes: Tensor, scaled: Tensor, window: Tensor | None) -> Tensor:
        """What each change is added to, (batch, window * sensor)."""
        if window is not None:
            cells = window.flatten(1)
            filled = torch.where(torch.isnan(cells), _along(self.fill, window), cells)
            levels = self._logged(filled, window)
            return _before(levels, levels[:, : window.shape[2]])
        level = torch.where(self.log, _log1p_of(self.fill), self.fill)
        summed = torch.cumsum(_rows(changes, scaled), dim=1).flatten(1)
        return summed - changes + _along(level, scaled)


def _before(cells: Tensor, first: Tensor) -> Tensor:
    """Each cell's row before, (batch, window * sensor); first: what stands before the first row, (batch, sensor)."""
    return torch.cat([first, cells[:, : -first.shape[1]]], dim=1)


def _log1p_of(values: Tensor) -> Tensor:
    return torch.sign(values) * torch.log1p(values.abs())


def _along(constant: Tensor, window: Tensor) -> Tensor:
    """(sensor,) -> (window * sensor,), for cells that lie in one row.

    onnxruntime broadcasts along a last axis of a handful of sensors so slowly that it cost more than the network.
    """
    return constant.repeat(window.shape[1])


def _rows(cells: Tensor, window: Tensor) -> Tensor:
    """(batch, window * sensor) -> the shape of `window`."""
    return cells.reshape(-1, *window.shape[1:])
