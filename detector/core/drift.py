"""Drift of scores and inputs, judged on block means so that autocorrelation does not pass for drift.

Rows of an asset are cut into blocks of `block_rows`; the mean of each signal over a block is compared with the mean
and the spread of such block means on normal data (the manifest's drift reference). The spread of *block means* already
holds the feed's autocorrelation, which a test on rows would take for evidence (batch means: Law & Kelton, Simulation
Modeling and Analysis, ch. 9). An asset drifts when the same signal stays beyond `z_limit` on the same side for
`persist_blocks` blocks; a model drifts when `min_share` of its assets do, and two at least where there are two: a fault
of one asset is no drift. One request per model and cooldown, whatever happens.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detector.core.alarms.alerts import utc
from detector.core.arrays import Bools, Doubles, Floats, Ints, first_of_runs, last_of_runs
from detector.core.component import Columns, grown, pack, unpack
from detector.core.rounding import six_digits
from schemas.config import Drift as DriftSettings
from schemas.control import DriftFigure, RetrainRequest, Trigger
from schemas.manifest import DriftReference, Manifest

SCORE = "score"
FURTHEST = 1e30  # reference standard deviations; sums over a block stay finite


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """A model that drifted: when (event time, seconds), how many assets agree, and the strongest figures."""

    at_s: float
    drifting: int
    judged: int
    figures: tuple[DriftFigure, ...]


class DriftWatch:
    """The drift memory of one model's assets: 3 numbers a signal and asset."""

    depends_on: ClassVar[tuple[str, ...]] = ("sensors", "model_version")

    def __init__(
        self, reference: DriftReference, sensors: tuple[str, ...], settings: DriftSettings, capacity: int = 64
    ) -> None:
        column = {SCORE: 0, **{name: 1 + i for i, name in enumerate(sensors)}}
        signals = [s for s in reference.signals if s.name in column and s.block_sd > 0]
        self._names = [s.name for s in signals]
        self._columns = np.array([column[s.name] for s in signals], np.int64)
        self._mean = np.array([s.mean for s in signals])
        self._sd = np.array([s.block_sd for s in signals])
        self.block_rows = reference.block_rows
        self.settings = settings
        count = len(signals)
        self.count: Ints = np.zeros(capacity, np.int64)
        self.total: Doubles = np.zeros((capacity, count))
        self.streak: Ints = np.zeros((capacity, count), np.int64)  # signed: the side it stays on
        self.z: Doubles = np.full((capacity, count), np.nan)  # of the last block
        self.asked_s = -np.inf

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        self.count = grown(self.count, capacity, 0)
        self.total = grown(self.total, capacity, 0)
        self.streak = grown(self.streak, capacity, 0)
        self.z = grown(self.z, capacity, np.nan)

    def forget(self, slots: Ints) -> None:
        """Empties slots for their next owners."""
        self.count[slots], self.total[slots], self.streak[slots], self.z[slots] = 0, 0, 0, np.nan

    def adopt(self, old: "DriftWatch") -> None:
        """Blocks begin anew against another reference; the cooldown goes on."""
        self.asked_s = old.asked_s

    def dump(self, slots: Ints) -> Columns:
        """drift: float64 (3, signal), total, streak and z; drift_count: rows of the block that is being filled."""
        memory = np.stack([self.total[slots], self.streak[slots].astype(np.float64), self.z[slots]], axis=1)
        return {"drift_count": self.count[slots].tolist(), "drift": pack(memory)}

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up blocks of the same version; an empty one was written without a drift watch. Raises ValueError."""
        known = [place for place, data in enumerate(columns["drift"]) if data]
        slots, shape = slots[known], (3, self.total.shape[1])
        found = unpack([columns["drift"][place] for place in known], np.float64, shape, most=np.inf)
        total, streak, z = found.swapaxes(0, 1)
        if not np.isfinite([total, streak]).all() or np.abs(streak).max(initial=0) > 2**40:
            raise ValueError("the checkpoint has a drift that is not a number")
        self.count[slots] = [columns["drift_count"][place] % self.block_rows for place in known]
        self.total[slots], self.streak[slots], self.z[slots] = total, streak.astype(np.int64), z

    def advance(self, slots: Ints, times: Doubles, scores: Doubles, values: Floats) -> list[DriftFinding]:
        """Takes scored rows sorted by slot; scores (row,), values (row, sensor), NaN counts as the reference."""
        if not len(slots) or not len(self._names):
            return []
        signals = np.concatenate([scores[:, None], values], axis=1)[:, self._columns].astype(np.float64)
        with np.errstate(over="ignore"):
            off = np.clip(np.nan_to_num((signals - self._mean) / self._sd), -FURTHEST, FURTHEST)
        first = first_of_runs(slots)
        index = np.arange(len(slots))
        rank = index - np.maximum.accumulate(np.where(first, index, 0))
        filled = self.count[slots] + rank
        begins = np.flatnonzero(first | (filled % self.block_rows == 0))
        ends = np.r_[begins[1:], len(slots)] - 1
        owners = slots[begins]
        sums = np.where(first[begins, None], self.total[owners], 0.0) + np.add.reduceat(off, begins, axis=0)
        counts = filled[ends] % self.block_rows + 1
        full = counts == self.block_rows
        last = last_of_runs(first_of_runs(owners))  # each slot's last piece of a block stays, if it is not full
        self.total[owners[last]] = np.where(full[last, None], 0.0, sums[last])
        self.count[owners[last]] = np.where(full[last], 0, counts[last])
        done = [
            (float(times[ends[piece]]), int(owners[piece]), sums[piece] / self.block_rows)
            for piece in np.flatnonzero(full).tolist()
        ]
        # Blocks are judged in event-time order, as they would be with smaller polls.
        done.sort(key=lambda block: block[:2])
        findings = (self._judge(*block) for block in done)
        return [finding for finding in findings if finding is not None]

    def _judge(self, at_s: float, slot: int, z: Doubles) -> DriftFinding | None:
        side = np.where(np.abs(z) > self.settings.z_limit, np.sign(z), 0).astype(np.int64)
        same = side * self.streak[slot] > 0
        self.streak[slot] = np.where(same, self.streak[slot] + side, side)
        self.z[slot] = z
        persists = (np.abs(self.streak[slot]) >= self.settings.persist_blocks).any()
        return self._vote(at_s) if persists else None

    def _vote(self, at_s: float) -> DriftFinding | None:
        if at_s < self.asked_s + self.settings.cooldown_s:
            return None
        judged: Bools = np.isnan(self.z).sum(axis=1) == 0
        persistent = (np.abs(self.streak) >= self.settings.persist_blocks) & judged[:, None]
        drifting = persistent.sum(axis=1) > 0
        enough = max(self.settings.min_share * judged.sum(), min(2, judged.sum()))
        if drifting.sum() < enough:
            return None
        self.asked_s = at_s
        return DriftFinding(at_s, int(drifting.sum()), int(judged.sum()), self._figures(persistent))

    def _figures(self, persistent: Bools, most: int = 5) -> tuple[DriftFigure, ...]:
        """The signals that moved furthest, averaged over the assets on which they persist."""
        figures = []
        for i in np.flatnonzero(persistent.any(axis=0)):
            z = float(self.z[persistent[:, i], i].mean())
            figures.append(
                DriftFigure(
                    signal=self._names[i],
                    block_mean=six_digits(self._mean[i] + z * self._sd[i]),
                    reference_mean=six_digits(self._mean[i]),
                    z=round(z, 2),
                )
            )
        return tuple(sorted(figures, key=lambda f: -abs(f.z))[:most])


def drift_request(manifest: Manifest, finding: DriftFinding) -> RetrainRequest:
    """The control message for a finding. The same finding gives the same id, so that a replay asks once."""
    text = f"{manifest.model}\x1f{manifest.model_version}\x1f{finding.at_s:.3f}"
    moved = ", ".join(f"{f.signal} by {f.z:+.1f} sd" for f in finding.figures[:3])
    return RetrainRequest(
        id=hashlib.sha256(text.encode()).hexdigest()[:20],
        model=manifest.model,
        model_version=manifest.model_version,
        trigger=Trigger.DRIFT,
        at=utc(finding.at_s),
        reason=f"drift on {finding.drifting} of {finding.judged} assets: {moved}",
        figures=finding.figures,
    )
