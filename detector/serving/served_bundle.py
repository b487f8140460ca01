"""A loaded bundle and what it answers: plain functions from checked requests to answers. No state between them."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detector.bundles.loading import OnnxDecoder, OnnxScorer, load_bundle, load_decoder
from detector.bundles.store import Store
from detector.core.arrays import Floats
from detector.core.ingest.rows import Rows
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.daemon.swaps import check_feed
from detector.serving import bodies
from schemas.config import ScoresOut, Settings, WatchRule

ASSET = "asset"  # rows come without a name, and belong together


class RequestRejected(Exception):
    """A request that fits its schema, and still cannot be answered: an HTTP status and a line."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(slots=True)
class ServedBundle:
    """A loaded bundle. The methods may run in several threads at once: onnxruntime's sessions allow it."""

    settings: Settings
    scorer: OnnxScorer
    decoder: OnnxDecoder | None
    requests: bodies.Requests = field(init=False)

    def __post_init__(self) -> None:
        self.requests = bodies.requests(self.scorer.manifest, self.settings.serve)

    @property
    def version(self) -> str:
        """Of the bundle; it stands in every answer."""
        return self.scorer.manifest.model_version

    def facts(self) -> bodies.ModelFacts:
        """What is served, and within which limits."""
        manifest, limits = self.scorer.manifest, self.settings.serve
        return bodies.ModelFacts(
            model=manifest.model,
            model_version=manifest.model_version,
            family=manifest.family,
            sensors=[bodies.SensorFacts(name=sensor.name, unit=sensor.unit) for sensor in manifest.sensors],
            window=manifest.window,
            period_s=manifest.period_s,
            fill_limit=manifest.fill_limit,
            latent=manifest.latent,
            decodes=self.decoder is not None,
            threshold=manifest.calibration.threshold,
            limits=bodies.LimitFacts(
                max_windows=limits.max_windows, max_rows=limits.max_rows, max_body_bytes=limits.max_body_bytes
            ),
        )

    def encode(self, request: Any) -> dict[str, Any]:
        """Windows to codes."""
        return {"codes": _lists(self._reconstruct(_windows(request))[1])}

    def reconstruct(self, request: Any) -> dict[str, Any]:
        """Windows to what the model expected."""
        return {"reconstructions": _lists(self._reconstruct(_windows(request))[0])}

    def decode(self, request: Any) -> dict[str, Any]:
        """Codes to windows."""
        if self.decoder is None:
            raise RequestRejected(
                409, f"bundle {self.version} has no decoder: train the model again with this watchkeeper"
            )
        given = request.root
        codes = np.array(given.codes if hasattr(given, "codes") else [given.code], np.float32)
        return {"windows": _lists(self.decoder.decode(codes))}

    def score_windows(self, request: Any) -> dict[str, Any]:
        """Windows to the graph's own scores, each on its own."""
        windows = _windows(request)
        scores, errors = [], []
        for chunk in self._chunks(windows):
            scores += self.scorer.score(chunk).tolist()
            errors += self.scorer.sensor_error(chunk).tolist()
        blind = np.isnan(windows).mean(axis=(1, 2)) > self.scorer.manifest.fill_limit
        kept = [None if no else score for no, score in zip(blind, scores, strict=True)]
        return {"scores": kept, "sensor_errors": [None if no else e for no, e in zip(blind, errors, strict=True)]}

    def score_rows(self, request: Any) -> dict[str, Any]:
        """Rows of one asset through the daemon's own core, from an empty memory on: what `backtest` gives."""
        manifest = self.scorer.manifest
        rules = (WatchRule(model=manifest.model),)
        settings = replace(WatchSettings.of(self.settings), watch=rules, scores=ScoresOut(emit="all"))
        watch = Watch(settings, {manifest.model: self.scorer}, by_feed=True, topic="rows")
        count = len(request.rows)
        rows = Rows(
            topic="rows",
            partitions=np.zeros(count, np.int64),
            offsets=np.arange(count),
            assets=[ASSET] * count,
            times=np.array([row.time for row in request.rows], np.float64),
            values=np.array([row.values for row in request.rows], np.float32),
            sensors=tuple(sensor.name for sensor in manifest.sensors),
        )
        (block,) = watch.process_rows(rows, 0.0).scores
        threshold = manifest.calibration.threshold
        scores = [None if np.isnan(score) else score for score in block.scores.tolist()]
        return {
            "threshold": threshold,
            "scores": scores,
            "anomalous": (block.scores > threshold).tolist(),
            "flags": block.flags.tolist(),
        }

    def _reconstruct(self, windows: Floats) -> tuple[Floats, Floats]:
        parts = [self.scorer.reconstruct(chunk) for chunk in self._chunks(windows)]
        return np.concatenate([rebuilt for rebuilt, _ in parts]), np.concatenate([code for _, code in parts])

    def _chunks(self, windows: Floats) -> list[Floats]:
        """As large as the daemon's: more at once only takes memory."""
        size = self.settings.limits.batch_windows
        return [windows[begin : begin + size] for begin in range(0, len(windows), size)]


def load_served_bundle(settings: Settings, model: str, version: str | None) -> ServedBundle:
    """Loads and verifies a bundle; version: None takes the one in use now. Raises BundleError, ConfigError."""
    store = Store.of(settings)
    scorer = load_bundle(store, model, version or store.in_use(model))
    check_feed(settings, scorer)
    return ServedBundle(settings, scorer, load_decoder(store, scorer.manifest))


def _windows(request: Any) -> Floats:
    given = request.root
    return np.array(given.windows if hasattr(given, "windows") else [given.window], np.float32)


def _lists(values: Floats) -> Any:
    """For JSON, which knows neither NaN nor infinity."""
    if not np.isfinite(values).all():
        raise RequestRejected(
            422, "the answer is not finite: what was given lies far outside what the model was trained on"
        )
    return values.tolist()
