"""Which bundles the daemon uses: loaded at the start, and taken up when a control message announces one."""

from collections.abc import Mapping

import msgspec
import structlog

from detector.bundles.loading import OnnxScorer, load_bundle
from detector.bundles.store import MANIFEST, Store
from detector.core.ingest.decode import Decoder
from detector.core.scoring import Scorer
from detector.daemon.metrics import Metrics
from detector.errors import BundleError, ConfigError
from schemas.config import Settings
from schemas.control import ModelPublished
from schemas.keys import renamed_keys
from schemas.manifest import Manifest


def load_current(settings: Settings) -> dict[str, OnnxScorer]:
    """The current bundle of every model that a watch rule names."""
    store = Store.of(settings)
    scorers: dict[str, OnnxScorer] = {}
    for model in dict.fromkeys(rule.model for rule in settings.watch):
        scorers[model] = load_bundle(store, model, store.in_use(model))
        check_feed(settings, scorers[model])
        log_old_keys(store, scorers[model])
    return scorers


def log_old_keys(store: Store, scorer: Scorer) -> None:
    """Names the keys that a manifest of before writes under their old names; they are read all the same."""
    manifest = scorer.manifest
    document = msgspec.json.decode(store.read(manifest.model, manifest.model_version, MANIFEST))
    for key in renamed_keys(document, Manifest):
        structlog.get_logger().info(
            "old key in manifest", model=manifest.model, version=manifest.model_version, key=key.dotted, now=key.today
        )


def check_feed(settings: Settings, scorer: Scorer) -> None:
    """Refuses a bundle whose sensors the configured feed does not have, or has where another field is."""
    manifest = scorer.manifest
    try:
        Decoder(settings.feed, tuple(sensor.name for sensor in manifest.sensors))
    except KeyError as error:
        raise BundleError(
            f"bundle {manifest.model} {manifest.model_version} wants the sensor {error}, which feed.values lacks",
            "add it to feed.values, or train without it",
        ) from None
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"bundle {manifest.model} {manifest.model_version} cannot be fed by 'feed' ({str(error)[:120]})",
            "correct the paths in 'feed', or rename the sensor",
        ) from None


class Swaps:
    """Verifies announced bundles and keeps them until the loop is between polls."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._store = Store.of(settings)
        self._metrics = metrics
        self._log = structlog.get_logger()
        self._ready: dict[str, OnnxScorer] = {}

    def announce(self, message: ModelPublished, used: Mapping[str, OnnxScorer]) -> None:
        """Loads what a message announces; a refusal is logged and counted, and the model in use stays."""
        model, version = message.model, message.model_version
        if model not in used:
            return
        if used[model].manifest.model_version == version:
            self._ready.pop(model, None)
            return
        try:
            scorer = load_bundle(self._store, model, version, message.manifest_sha256)
            check_feed(self._settings, scorer)
            self._check_sensors(scorer, used[model])
            log_old_keys(self._store, scorer)
        except (BundleError, ConfigError) as error:  # a key file that is gone is no reason to stop watching
            self._metrics.refusals.labels(model).inc()
            self._log.error("model refused", model=model, version=version, reason=error.problem, remedy=error.remedy)
            return
        self._ready[model] = scorer

    def take(self) -> list[OnnxScorer]:
        """The bundles to swap in now."""
        ready, self._ready = list(self._ready.values()), {}
        return ready

    @staticmethod
    def _check_sensors(scorer: OnnxScorer, used: OnnxScorer) -> None:
        new = {sensor.name for sensor in scorer.manifest.sensors}
        old = {sensor.name for sensor in used.manifest.sensors}
        if new != old:
            manifest = scorer.manifest
            odd = ", ".join(sorted(new ^ old)[:5])
            raise BundleError(
                f"bundle {manifest.model} {manifest.model_version} has other sensors than the one in use ({odd})",
                "promote it and restart the daemon, if the feed has them",
            )
