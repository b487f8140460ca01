"""A feed and a scorer whose every figure can be worked out by hand: a fake behind the Scorer interface."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from detector.core.arrays import Doubles, Floats
from detector.core.scoring import Explanation
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from schemas.alert import Alert
from schemas.config import Alarms, Drift, Feed, ScoresOut, Settings, WatchRule
from schemas.control import RetrainRequest
from schemas.manifest import (
    Calibration,
    DriftReference,
    FileEntry,
    Manifest,
    ReferenceSignal,
    Scoring,
    Sensor,
    Timing,
    TrainingData,
)

SENSORS = ("s0", "s1", "s2")
START_S = 1.7e9
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record without a broker."""

    offset: int
    value: bytes | None
    partition: int = 0
    topic: str = "sensors"
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def manifest(
    *, window: int = 4, stride: int = 1, scoring: Scoring | None = None, version: str = "v1",
    sensors: int = len(SENSORS), stuck_rows: int | None = 5, drift_rows: int = 20,
) -> Manifest:  # fmt: skip
    """A manifest for standard normal values: sensor errors are the values themselves."""
    names = [f"s{i}" for i in range(sensors)]
    identity = tuple(tuple(float(i == j) for j in range(sensors)) for i in range(sensors))
    chain = Scoring(
        method="mahalanobis", vector_alpha=0.5, score_alpha=0.5, center=(0.0,) * sensors, precision=identity
    )
    none = FileEntry(sha256="0" * 64, size_bytes=0)
    signals = [ReferenceSignal(name="score", mean=1.2, block_sd=0.2)]
    signals += [ReferenceSignal(name=name, mean=0.0, block_sd=0.3) for name in names]
    return Manifest(
        model="m", model_version=version, created=WHEN, family="dense",
        sensors=tuple(Sensor(name=name, unit="bar", high=50.0, stuck_rows=stuck_rows) for name in names),
        window=window, stride=stride, period_s=1.0, max_gap_s=5.0, fill_limit=0.4, latent=1,
        scoring=scoring or chain,
        calibration=Calibration(
            method="percentile", parameters={}, threshold=4.0, lower_threshold=3.0, windows=1, quantiles={}, mean=1.0,
            sd=1.0,
        ),
        timing=Timing(on_delay_s=3.0, off_delay_s=4.0),
        drift=DriftReference(block_rows=drift_rows, signals=tuple(signals)),
        training=TrainingData(fingerprint="0" * 64, rows=1, assets=("a",), start=WHEN, end=WHEN, source="none"),
        metrics={}, libraries={}, golden_tolerance=1e-3, files={"model.onnx": none, "golden.json": none},
    )  # fmt: skip


class FakeScorer:
    """Sensor error = value, expected = 0, score = mean square over the window."""

    def __init__(self, facts: Manifest | None = None) -> None:
        self._manifest = facts or manifest()

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def score(self, windows: Floats) -> Floats:
        return np.asarray(np.nan_to_num(windows**2).mean(axis=(1, 2)), np.float32)

    def sensor_error(self, windows: Floats) -> Floats:
        return np.nan_to_num(windows[:, -1, :])

    def parts(self, windows: Floats) -> Floats:
        width = sum(component.width for component in self._manifest.scoring.components)
        return np.resize(self.sensor_error(windows).T, (width, len(windows))).T

    def explain(self, windows: Floats) -> Explanation:
        return Explanation(np.zeros_like(windows[:, -1, :]), self.sensor_error(windows))


def settings(**changes: object) -> Settings:
    """Everything about one model that watches all assets, scores kept."""
    base: dict[str, object] = {
        "watch": (WatchRule(model="m"),),
        "scores": ScoresOut(emit="all"),
        "alarms": Alarms(silent_after_s=30.0),
        "drift": Drift(cooldown_s=1e9),
        "feed": Feed(),
    }
    return Settings.model_validate({**base, **changes})


def watch(config: Settings | None = None, facts: Manifest | None = None) -> Watch:
    """A watch over the fake scorer, with the feed's own clock."""
    scorer = FakeScorer(facts)
    return Watch(WatchSettings.of(config or settings()), {"m": scorer}, by_feed=True, topic="sensors")


def wide(offset: int, asset: str, time_s: float, values: Iterable[float | None], partition: int = 0) -> FakeRecord:
    """A wide record; None is a missing sensor."""
    body = {"asset": asset, "timestamp": time_s}
    body |= {f"s{i}": float(v) for i, v in enumerate(values) if v is not None}
    return FakeRecord(offset, json.dumps(body).encode(), partition, key=asset.encode())


def feed(values: Doubles, partitions: int = 1) -> list[FakeRecord]:
    """Records of (time, asset, sensor) values, one second apart; assets fall into partitions by number."""
    records, offsets = [], [0] * partitions
    for t, row in enumerate(values):
        for a, cells in enumerate(row):
            partition = a % partitions
            given = [None if np.isnan(v) else round(float(v), 4) for v in cells]
            records.append(wide(offsets[partition], f"a{a}", START_S + t, given, partition))
            offsets[partition] += 1
    return records


def plant(seed: int = 0, rows: int = 240, assets: int = 3) -> Doubles:
    """Standard normal values with a fault, a stuck sensor, missing cells and an outlier in range."""
    values = np.random.default_rng(seed).normal(size=(rows, assets, len(SENSORS)))
    values[60:100, 0, 1] += 12.0
    values[120:150, 1, 2] = 0.5
    values[30:34, 2 % assets, 0] = np.nan
    values[160:190, 0, 0] = 60.0
    return values


@dataclass(slots=True)
class Story:
    """All that a run gave, in a form that does not depend on polls."""

    alerts: dict[str, Alert]
    scores: dict[tuple[int, int], tuple[float | None, int]]  # (partition, offset) -> score, flags
    requests: list[RetrainRequest]
    dead: int = 0


def replay(over: Watch, records: Sequence[FakeRecord], poll: int, into: Story | None = None) -> Story:
    """Runs records through a watch in polls of a size."""
    story = into or Story({}, {}, [])
    for begin in range(0, len(records), poll):
        outcome = over.process(records[begin : begin + poll], 0.0)
        story.alerts |= {alert.id: alert for alert in outcome.alerts}
        story.requests += outcome.requests
        story.dead += len(outcome.dead_letters)
        for block in outcome.scores:
            for offset, score, flags in zip(
                block.offsets.tolist(), block.scores.tolist(), block.flags.tolist(), strict=True
            ):
                story.scores[block.partition, offset] = (None if np.isnan(score) else score, flags)
    return story
