"""The gate: a candidate must rebuild recent normal data that it never saw at least as well as the champion does."""

from dataclasses import dataclass, replace

import numpy as np

from detector.bundles.loading import OnnxScorer
from detector.core.windows import WindowShape
from trainer.data.history import AssetHistory, History
from trainer.replay.windows import Replay, replay

CHUNKS = 8  # parts of the span, each of which gives its last rows to the gate
JUDGED_CHUNKS = 4  # the latest of them, on which the gate compares
MIN_WINDOWS = 50
MAX_WINDOWS = 20_000


@dataclass(frozen=True, slots=True)
class GateSplit:
    """Rows to fit on, and rows kept for the gate."""

    fit: History
    gate: History


@dataclass(frozen=True, slots=True)
class Verdict:
    """Mean squared error of the last rows over their variance, both models on the same rows; lower is better."""

    candidate: float
    champion: float
    windows: int
    passed: bool

    def __str__(self) -> str:
        return (
            f"error {self.candidate:.4g} against the champion's {self.champion:.4g} on {self.windows} held-out windows"
        )


def split(history: History, share: float) -> GateSplit:
    """Cuts the span into parts and keeps the last `share` of each for the gate.

    Not the last part of the whole: after a drift only the latest days show the new normal, and a candidate that was
    kept from them could not learn it. Parts in time, not single rows: neighbours would give each other away.
    """
    begin, end = (moment.timestamp() for moment in history.span)
    length = (end - begin) / CHUNKS + 1e-6
    fit, gate = [], []
    for asset in history.assets:
        position = (asset.times - begin) / length
        held = position % 1.0 >= 1.0 - share
        fit.append(_rows(asset, ~held))
        gate.append(_rows(asset, held & (position >= CHUNKS - JUDGED_CHUNKS)))
    return GateSplit(_with(history, fit), _with(history, gate))


def check_rows(champion: OnnxScorer, gate: History) -> None:
    """Raises DataError where the gate's rows hold no full window of the champion."""
    _windows(champion, gate)


def judge(candidate: OnnxScorer, champion: OnnxScorer, gate: History, tolerance: float) -> Verdict:
    """Compares both on the gate's rows. Raises DataError where the gate holds no full window."""
    ours, count = _error(candidate, gate)
    theirs, _ = _error(champion, gate)
    return Verdict(ours, theirs, count, count >= MIN_WINDOWS and ours <= tolerance * theirs)


def _windows(scorer: OnnxScorer, gate: History) -> tuple[History, Replay]:
    """The gate's rows with the scorer's sensors, and the windows in them."""
    manifest = scorer.manifest
    rows = gate.select([sensor.name for sensor in manifest.sensors])
    shape = WindowShape(manifest.window, len(manifest.sensors), 1, manifest.max_gap_s, manifest.fill_limit)
    return rows, replay(rows, shape)


def _error(scorer: OnnxScorer, gate: History) -> tuple[float, int]:
    rows, played = _windows(scorer, gate)
    chosen = np.unique(np.linspace(0, len(played) - 1, min(len(played), MAX_WINDOWS)).astype(np.int64))
    values = np.concatenate([asset.values for asset in rows.assets]).astype(np.float64)
    spread = np.nanvar(values, axis=0)
    spread[~(spread > 0)] = 1.0
    total, cells = 0.0, 0
    for begin in range(0, len(chosen), 1024):
        windows = played.windows(chosen[begin : begin + 1024])
        rebuilt, _ = scorer.reconstruct(windows)
        off = (windows[:, -1].astype(np.float64) - rebuilt[:, -1]) ** 2 / spread
        total += float(np.nansum(off))
        cells += int(np.count_nonzero(~np.isnan(off)))
    return total / max(cells, 1), len(chosen)


def _rows(asset: AssetHistory, keep: np.typing.NDArray[np.bool_]) -> AssetHistory:
    return replace(asset, times=asset.times[keep], values=asset.values[keep])


def _with(history: History, assets: list[AssetHistory]) -> History:
    return replace(history, assets=tuple(asset for asset in assets if len(asset.times)))
