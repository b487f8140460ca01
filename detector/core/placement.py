"""Which pipeline and which slot an asset of a partition has; who takes an asset up, and who lets it go."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import repeat

import numpy as np

from detector.core.arrays import Ints
from detector.core.ingest.fields import usable_name
from detector.core.ingest.rows import Rows
from detector.core.pipeline import ModelPipeline
from detector.core.settings import WatchSettings
from detector.core.state.codec import bucket_of
from schemas.alert import Alert, CloseReason
from schemas.config import WatchRule

UNWATCHED, OVER_LIMIT = -1, -2  # placements of rows that no pipeline takes
_NEW = -3
_SHIFT = 32  # a placement is the pipeline's number << 32 | slot
_SLOT = 2**_SHIFT - 1


class Placements:
    """The placements of all assets, and what the checkpoints of their buckets stand for."""

    def __init__(self, pipelines: Mapping[str, ModelPipeline], settings: WatchSettings) -> None:
        self._pipelines, self._names = pipelines, list(pipelines)
        self._settings, self._regroup = settings, False
        self._known: dict[tuple[int, str], int] = {}
        # partition -> bucket -> offset that its newest checkpoint stands for: what lies below is in it already
        self.bucket_offsets: dict[int, dict[int, int]] = {}
        # partition and bucket of assets that were evicted since the checkpoint
        self.evicted_buckets: set[tuple[int, int]] = set()

    def locate(self, rows: Rows, clock: float) -> Ints:
        """The placement of each row's asset, (row,), or a negative reason; new assets get a slot."""
        keys = zip(rows.partitions.tolist(), rows.assets, strict=True)
        found = np.fromiter(map(self._known.get, keys, repeat(_NEW)), np.int64, len(rows))
        for row in np.flatnonzero(found == _NEW).tolist():
            found[row] = self._place((int(rows.partitions[row]), rows.assets[row]), clock)
        return found

    def watches(self, asset: str) -> bool:
        """Whether a rule gives the asset to a model that is here."""
        return match(self._settings.watch, asset) in self._pipelines

    def of_pipelines(self, placements: Ints) -> Iterable[tuple[ModelPipeline, Ints, Ints]]:
        """Each pipeline with the positions of its rows, in order of arrival, and their slots."""
        for number, name in enumerate(self._names):
            chosen = np.flatnonzero((placements >= 0) & (placements >> _SHIFT == number))
            if len(chosen):
                yield self._pipelines[name], chosen, placements[chosen] & _SLOT

    def enter(self, partition: int, asset: str) -> ModelPipeline | None:
        """The pipeline of an asset that a checkpoint restores; None where it is not watched any more.

        It is taken up whatever `limits.max_assets` says: its incidents would vanish otherwise.
        Checkpoints of before names had a bound may hold one that no alert can carry: it is let go.
        """
        if not usable_name(asset):
            return None
        placement = self._place((partition, asset), np.inf, most=sys.maxsize)
        return None if placement < 0 else self._pipelines[self._names[placement >> _SHIFT]]

    def configure(self, settings: WatchSettings) -> None:
        """Takes up other rules; `regroup` lets go of the assets that have another model by now, or none."""
        self._regroup |= bool(self._known) and settings.watch != self._settings.watch
        self._settings = settings

    def regroup(self) -> list[Alert]:
        """Lets go of assets that the rules of the last `configure` give to another model or none; closes what is open.

        Between two polls it would be lost: a checkpoint may come before the next outcome.
        """
        if not self._regroup:
            return []
        self._regroup = False
        gone: dict[tuple[str, CloseReason], list[int]] = defaultdict(list)
        for (_, asset), placement in self._known.items():
            name = self._names[placement >> _SHIFT]
            if match(self._settings.watch, asset) != name:
                gone[name, self.reason_gone(asset)].append(placement & _SLOT)
        alerts: list[Alert] = []
        for (name, reason), slots in gone.items():
            alerts += self._pipelines[name].close(slots, reason)
            self.evict(self._pipelines[name], slots)
        return alerts

    def reason_gone(self, asset: str) -> CloseReason:
        """Why an asset's former model does not judge it any more."""
        return CloseReason.NO_LONGER_JUDGED if match(self._settings.watch, asset) is None else CloseReason.MOVED

    def evict(self, pipeline: ModelPipeline, slots: Sequence[int]) -> None:
        """Lets go of assets that went away; the next checkpoint says so."""
        assets = pipeline.assets
        self.evicted_buckets |= {(assets.partitions[slot], bucket_of(assets.names[slot])) for slot in slots}
        self.release(pipeline, slots)

    def release_partition(self, partition: int) -> None:
        """Lets go of a partition: another member of the group has it now."""
        for pipeline in self._pipelines.values():
            self.release(pipeline, pipeline.assets.of_partition(partition))
        self.bucket_offsets.pop(partition, None)
        self.saved(partition)

    def release(self, pipeline: ModelPipeline, slots: Sequence[int]) -> None:
        """Lets go of assets: the one place where a slot becomes free."""
        for slot in slots:
            self._known.pop((pipeline.assets.partitions[slot], pipeline.assets.names[slot]), None)
        pipeline.release(slots)

    def evicted(self, partition: int) -> set[int]:
        """Buckets of a partition that lost assets since the last checkpoint."""
        return {bucket for owner, bucket in self.evicted_buckets if owner == partition}

    def saved(self, partition: int) -> None:
        """A checkpoint knows of all evictions in a partition."""
        self.evicted_buckets = {pair for pair in self.evicted_buckets if pair[0] != partition}

    def _place(self, key: tuple[int, str], clock: float, most: int | None = None) -> int:
        if key in self._known:
            return self._known[key]
        model = match(self._settings.watch, key[1])
        if model is None or model not in self._pipelines:
            return UNWATCHED
        if len(self._known) >= (self._settings.limits.max_assets if most is None else most):
            return OVER_LIMIT
        slot = self._pipelines[model].take(*key, self.bucket_offsets.get(key[0], {}).get(bucket_of(key[1]), 0), clock)
        self._known[key] = placement = self._names.index(model) << _SHIFT | slot
        return placement


def match(rules: Iterable[WatchRule], asset: str) -> str | None:
    """The model of the first rule whose glob fits the asset.

    >>> match([WatchRule(model="pumps", assets=("pump-*",))], "pump-7")
    'pumps'
    """
    for rule in rules:
        if any(fnmatchcase(asset, glob) for glob in rule.assets):
            return rule.model
    return None
