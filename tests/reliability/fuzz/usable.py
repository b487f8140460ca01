"""What was accepted must be usable: a watch over it takes ordinary and extraordinary rows without raising."""

import zlib
from collections.abc import Sequence

import numpy as np

from detector.core.arrays import Floats
from detector.core.ingest.rows import Rows
from detector.core.scoring import Explanation
from detector.core.watch import Watch
from detector.transports.messages import outcome_messages
from schemas.manifest import Manifest
from tests.support.plant import START_S, FakeScorer, manifest


class LargeScorer:
    """FakeScorer for values of any size: what overflows is infinite, as it would be in a graph, without a warning."""

    def __init__(self, facts: Manifest) -> None:
        self._inner = FakeScorer(facts)

    @property
    def manifest(self) -> Manifest:
        return self._inner.manifest

    def score(self, windows: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._inner.score(windows)

    def sensor_error(self, windows: Floats) -> Floats:
        return self._inner.sensor_error(windows)

    def parts(self, windows: Floats) -> Floats:
        return self._inner.parts(windows)

    def explain(self, windows: Floats) -> Explanation:
        return self._inner.explain(windows)


def scorer_of(facts: Manifest) -> LargeScorer:
    """A scorer that stands for a bundle with this manifest."""
    return LargeScorer(facts)


def is_deep(data: bytes) -> bool:
    """Whether an accepted case is watched on with: one in four, by its bytes, since that takes most of the time."""
    return zlib.crc32(data) % 4 == 0


def small_manifest(version: str = "v1") -> Manifest:
    """Windows of two rows and blocks of two: little is needed to reach every stage."""
    return manifest(window=2, version=version, stuck_rows=2, drift_rows=2)


def run_rows(watch: Watch, model: str, asset: str, first_offset: int, begin_s: float) -> int:
    """Some rows of one asset: normal, far off, missing, stuck, and normal again. Gives how many alerts they made."""
    pipeline = watch.pipelines[model]
    count = len(pipeline.sensor_names)
    levels: Sequence[float] = (0.1, 60.0, 60.0, np.nan, 5e37, 0.2, 0.2, 0.2, -0.1)
    values = np.repeat(np.array(levels, np.float32)[:, None], count, axis=1)
    step_s = min(max(pipeline.manifest.period_s, 1e-3), 3600.0)
    rows = Rows(
        topic=watch.topic,
        partitions=np.zeros(len(levels), np.int64),
        offsets=first_offset + np.arange(len(levels)),
        assets=[asset] * len(levels),
        times=begin_s + step_s * np.arange(1.0, len(levels) + 1.0),
        values=values,
        sensors=pipeline.sensor_names,
    )
    outcome = watch.process_rows(rows, START_S)
    for message in outcome_messages(outcome):
        assert message.value
    return len(outcome.alerts)
