"""History: what the trainer knows of a feed's past, as sorted arrays per asset, whatever it was read from."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from detector.core.arrays import Doubles, Floats, Ints
from detector.errors import DataError

Span = tuple[float, float]  # begin (inclusive) and end (exclusive), seconds since 1970-01-01 UTC


@dataclass(frozen=True, slots=True)
class AssetHistory:
    """One asset's rows, times ascending without repeats."""

    name: str
    times: Doubles  # (row,) seconds since 1970-01-01 UTC
    values: Floats  # (row, sensor) engineering units, NaN = missing


@dataclass(frozen=True, slots=True)
class History:
    """The rows of one or more assets that carry the same sensors."""

    sensors: tuple[str, ...]
    assets: tuple[AssetHistory, ...]
    source: str  # file names or topic span, without secrets
    notes: tuple[str, ...] = ()  # what a person should know of how it was read

    @property
    def rows(self) -> int:
        """Rows of all assets together."""
        return sum(len(asset.times) for asset in self.assets)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Times of the first and the last row."""
        begin = min(float(asset.times[0]) for asset in self.assets)
        end = max(float(asset.times[-1]) for asset in self.assets)
        return datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)

    def fingerprint(self) -> str:
        """SHA-256 over names, times and values: the same data have the same fingerprint wherever they came from."""
        digest = hashlib.sha256("\0".join(self.sensors).encode())
        for asset in self.assets:
            digest.update(b"\0" + asset.name.encode())
            digest.update(np.ascontiguousarray(asset.times, "<f8").tobytes())
            digest.update(np.ascontiguousarray(asset.values, "<f4").tobytes())
        return digest.hexdigest()

    def select(self, sensors: Sequence[str]) -> "History":
        """The same rows with these sensors, in this order. Raises DataError for one that is not there."""
        missing = [name for name in sensors if name not in self.sensors]
        if missing:
            raise DataError(
                f"{self.source} has no sensor {missing[0]!r}", f"sensors there: {', '.join(self.sensors[:20])}"
            )
        columns = [self.sensors.index(name) for name in sensors]
        assets = tuple(replace(asset, values=asset.values[:, columns]) for asset in self.assets)
        return replace(self, sensors=tuple(sensors), assets=assets)

    def without(self, spans: dict[str, list[Span]]) -> "History":
        """Leaves out spans of time, by asset: incidents, maintenance. The gap they leave resets the windows."""
        kept = []
        for asset in self.assets:
            keep = np.ones(len(asset.times), bool)
            for begin, end in spans.get(asset.name, []):
                keep &= (asset.times < begin) | (asset.times >= end)
            kept.append(replace(asset, times=asset.times[keep], values=asset.values[keep]))
        return replace(self, assets=_with_rows(kept, self.source))

    def between(self, begin: float, end: float) -> "History":
        """The rows with begin <= time < end. Raises DataError when none is left."""
        kept = []
        for asset in self.assets:
            inside = slice(*np.searchsorted(asset.times, [begin, end]))
            kept.append(replace(asset, times=asset.times[inside], values=asset.values[inside]))
        return replace(self, assets=_with_rows(kept, self.source))

    def cut(self, share: float) -> tuple["History", "History"]:
        """Splits each asset's rows in time: the earlier part, and the last `share` of its rows."""
        early, late = [], []
        for asset in self.assets:
            at = len(asset.times) - round(share * len(asset.times))
            early.append(replace(asset, times=asset.times[:at], values=asset.values[:at]))
            late.append(replace(asset, times=asset.times[at:], values=asset.values[at:]))
        return (
            replace(self, assets=_with_rows(early, self.source)),
            replace(self, assets=_with_rows(late, self.source)),
        )


def asset_history(name: str, times: Doubles, values: Floats) -> AssetHistory:
    """Sorts an asset's rows by time and keeps the first of rows with equal times; Inf counts as missing.

    >>> asset = asset_history("pump-1", np.array([20.0, 10.0, 20.0]), np.array([[1.0], [np.inf], [3.0]]))
    >>> asset.times.tolist(), asset.values.tolist()
    ([10.0, 20.0], [[nan], [1.0]])
    """
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    first = np.ones(len(times), bool)
    first[1:] = times[1:] > times[:-1]
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    return AssetHistory(name, times[first], values[first])


def gather(parts: Iterable[History]) -> History:
    """Joins histories that may share assets; sensors are the union, in order of first appearance."""
    parts = list(parts)
    sensors = tuple(dict.fromkeys(name for part in parts for name in part.sensors))
    times: dict[str, list[Doubles]] = {}
    values: dict[str, list[Floats]] = {}
    for part in parts:
        columns = [sensors.index(name) for name in part.sensors]
        for asset in part.assets:
            cells = np.full((len(asset.times), len(sensors)), np.nan, np.float32)
            cells[:, columns] = asset.values
            times.setdefault(asset.name, []).append(asset.times)
            values.setdefault(asset.name, []).append(cells)
    assets = [asset_history(name, np.concatenate(times[name]), np.concatenate(values[name])) for name in sorted(times)]
    source = ", ".join(dict.fromkeys(part.source for part in parts))
    notes = tuple(note for part in parts for note in part.notes)
    return History(sensors, _with_rows(assets, source), source, notes)


def from_columns(source: str, sensors: Sequence[str], names: Sequence[str], times: Doubles, values: Floats) -> History:
    """A history from rows in any order. names (row,), times (row,), values (row, sensor)."""
    labels, owner = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    return from_owners(source, sensors, labels.tolist(), owner, times, values)


def from_owners(
    source: str, sensors: Sequence[str], names: Sequence[str], owner: Ints, times: Doubles, values: Floats
) -> History:
    """The same from numbers of assets: names (asset,) in any order, owner (row,) their places in it."""
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner, np.arange(len(names) + 1), sorter=order)
    assets = [
        asset_history(names[number], times[order[ends[number] : ends[number + 1]]],
                      values[order[ends[number] : ends[number + 1]]])
        for number in sorted(range(len(names)), key=names.__getitem__)
    ]  # fmt: skip
    return History(tuple(sensors), _with_rows(assets, source), source)


def median_step(history: History) -> float:
    """The usual time between rows, seconds. Raises DataError where no asset has two rows."""
    steps = [np.diff(asset.times) for asset in history.assets if len(asset.times) > 1]
    if not steps:
        raise DataError(f"{history.source} has no asset with two rows", "give more history")
    return float(np.median(np.concatenate(steps)))


def _with_rows(assets: Sequence[AssetHistory], source: str) -> tuple[AssetHistory, ...]:
    full = tuple(asset for asset in assets if len(asset.times))
    if not full:
        raise DataError(f"{source} has no rows in the span asked for", "widen the span or give other files")
    return full
