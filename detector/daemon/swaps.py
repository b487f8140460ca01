"""Which bundles the daemon uses: loaded at the start, and taken up when a control message announces one."""

from collections.abc import Mapping

import msgspec
import structlog

from detector.bundles.loading import OnnxScorer, load_bundle
from detector.bundles.store import MANIFEST, Store
from detector.core.ingest.decode import Decoder
from detector.core.scoring import Scorer
from detector.daemon.metrics import Metrics
from detector.errors import BundleError, ConfigError, WatchkeeperError
from schemas.config import Settings
from schemas.control import ModelPublished
from schemas.keys import renamed_keys
from schemas.manifest import Manifest

COMPARE_EVERY_S = 60.0  # so long a lost announcement goes unnoticed


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
    """Verifies bundles that were announced or put into use, and keeps them until the loop is between polls."""

    def __init__(self, settings: Settings, metrics: Metrics, used: Mapping[str, OnnxScorer], now: float) -> None:
        self._settings = settings
        self._store = Store.of(settings)
        self._metrics = metrics
        self._log = structlog.get_logger()
        self._ready: dict[str, OnnxScorer] = {}
        self._pointed = {model: scorer.manifest.model_version for model, scorer in used.items()}
        self._refused: dict[str, str] = {}  # model -> what was refused by its pointer and why, said once
        self._compare_at = now + COMPARE_EVERY_S

    def announce(self, message: ModelPublished, used: Mapping[str, OnnxScorer]) -> None:
        """Loads what a message announces; a refusal is logged and counted, and the model in use stays."""
        model, version = message.model, message.model_version
        if model not in used:
            return
        if used[model].manifest.model_version == version:
            self._ready.pop(model, None)
            return
        try:
            self._ready[model] = self._load(used[model], version, message.manifest_sha256)
        except (BundleError, ConfigError) as error:  # a key file that is gone is no reason to stop watching
            self._refuse(model, version, error)

    def compare(self, used: Mapping[str, OnnxScorer], now: float) -> None:
        """Every minute: loads what the store's pointers have moved to, in case its announcement was lost or refused.

        What is refused is tried again a minute later, and logged once. now: monotonic seconds.
        """
        if now < self._compare_at:
            return
        self._compare_at = now + COMPARE_EVERY_S
        for model, scorer in used.items():
            try:
                self._follow_pointer(model, self._ready.get(model, scorer))
            except (BundleError, ConfigError) as error:
                if self._refused.get(model) != error.problem:
                    self._refused[model] = error.problem
                    self._refuse(model, "in use", error)

    def _follow_pointer(self, model: str, used: OnnxScorer) -> None:
        pointer = self._store.pointer(model)
        if pointer is None or pointer.model_version == self._pointed.get(model):
            return
        version = pointer.model_version
        if used.manifest.model_version != version:
            self._ready[model] = self._load(used, version, None)
        self._pointed[model] = version
        self._refused.pop(model, None)

    def _load(self, used: OnnxScorer, version: str, digest: str | None) -> OnnxScorer:
        scorer = load_bundle(self._store, used.manifest.model, version, digest)
        check_feed(self._settings, scorer)
        self._check_sensors(scorer, used)
        log_old_keys(self._store, scorer)
        return scorer

    def _refuse(self, model: str, version: str, error: WatchkeeperError) -> None:
        self._metrics.refusals.labels(model).inc()
        self._log.error("model refused", model=model, version=version, reason=error.problem, remedy=error.remedy)

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
