"""Which bundles the daemon uses: loaded at the start, and taken up when a control message announces one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any

import msgspec
import structlog

from detector.bundles.loading import OnnxScorer, load_bundle
from detector.bundles.store import MANIFEST, Store
from detector.core.ingest.decode import Decoder
from detector.core.scoring import Scorer
from detector.daemon.metrics import Metrics
from detector.daemon.policies import RetryPause
from detector.errors import BundleError, ConfigError, StoreError, WatchkeeperError
from schemas.config import Settings
from schemas.control import ModelPublished
from schemas.keys import renamed_keys
from schemas.manifest import Manifest

COMPARE_EVERY_S = 60.0  # so long a lost announcement goes unnoticed
_MAX_WANTED = 100  # announcements that wait for a store; the oldest go
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0  # between two questions to a store that was away


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


class _Question:
    """Something asked of the store: at once, or on a thread where the answer may take minutes."""

    def __init__(self, ask: Callable[[], Any], *, at_once: bool) -> None:
        self._ask, self._answer = ask, None
        self._error: Exception | None = None
        self._thread = None if at_once else Thread(target=self._run, name="store", daemon=True)
        if self._thread is None:
            self._run()
        else:
            self._thread.start()

    @property
    def answered(self) -> bool:
        """Whether `answer` has something to give."""
        return self._thread is None or not self._thread.is_alive()

    def answer(self) -> Any:
        """What was found; raises what was raised."""
        if self._error is not None:
            raise self._error
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except Exception as error:  # noqa: BLE001  # raised again on the loop's thread
            self._error = error


@dataclass(slots=True)
class _Wanted:
    """A version that is to be taken up."""

    model: str
    version: str
    digest: str | None  # what the announcement says; None: the pointer says the version
    due: float  # when to ask the store, monotonic seconds
    pause: RetryPause
    question: _Question | None = None


class Swaps:
    """Verifies bundles that were announced or put into use, and keeps them until the loop is between polls.

    Each is judged, in the order of the announcements: a bad one never stands in the way of a good one before it, and of
    several good ones the newest counts. A store that is away is asked again, and the model in use stays until then.
    `now`: monotonic seconds.
    """

    def __init__(self, settings: Settings, metrics: Metrics, used: Mapping[str, OnnxScorer], now: float) -> None:
        self._settings = settings
        self._store = Store.of(settings)
        self._metrics = metrics
        self._log = structlog.get_logger()
        self._wanted: dict[tuple[str, str], _Wanted] = {}  # by model and version, oldest first
        self._pointed = {model: scorer.manifest.model_version for model, scorer in used.items()}
        self._refused: dict[str, str] = {}  # model -> what was refused by its pointer and why, said once
        self._compare_at = now + COMPARE_EVERY_S
        self._comparing: _Question | None = None

    def announce(self, message: ModelPublished, used: Mapping[str, OnnxScorer], now: float) -> None:
        """Takes a message down. One of the version in use takes an earlier announcement back."""
        model, version = message.model, message.model_version
        if model not in used:
            return
        if used[model].manifest.model_version == version:
            self._drop(model)
        else:
            self._want(model, version, message.manifest_sha256, now)

    def compare(self, used: Mapping[str, OnnxScorer], now: float) -> None:
        """Every minute: wants what the store's pointers have moved to, in case its announcement was lost or refused.

        What is refused is tried again a minute later, and logged once.
        """
        if self._comparing is None and now >= self._compare_at:
            self._compare_at = now + COMPARE_EVERY_S
            models = list(used)
            self._comparing = self._ask(lambda: {model: self._read_pointer(model) for model in models})
        if self._comparing is None or not self._comparing.answered:
            return
        found, self._comparing = self._comparing.answer(), None
        for model, version in found.items():
            if isinstance(version, BundleError | ConfigError):
                self._refuse_once(model, version)
            elif version is not None and version != self._pointed.get(model):
                self._follow_pointer(model, version, used[model], now)

    def take(self, used: Mapping[str, OnnxScorer], now: float) -> list[OnnxScorer]:
        """The bundles to swap in now; a refusal is logged and counted, and the model in use stays."""
        ready: dict[str, OnnxScorer] = {}
        for wanted in list(self._wanted.values()):
            scorer = self._advance(wanted, used[wanted.model], now)
            if scorer is not None:
                ready[wanted.model] = scorer
                self._drop(wanted.model, until=wanted)
        return list(ready.values())

    def _advance(self, wanted: _Wanted, used: OnnxScorer, now: float) -> OnnxScorer | None:
        if wanted.question is None and now >= wanted.due:
            wanted.question = self._ask(lambda: self._load(used, wanted.version, wanted.digest))
        if wanted.question is None or not wanted.question.answered:
            return None
        question, wanted.question = wanted.question, None
        try:
            scorer: OnnxScorer = question.answer()
        except StoreError as error:
            self._put_off(wanted, error, now)
            return None
        except (BundleError, ConfigError) as error:  # a key file that is gone is no reason to stop watching
            del self._wanted[wanted.model, wanted.version]
            if wanted.digest is None:
                self._refuse_once(wanted.model, error)
            else:
                self._refuse(wanted.model, wanted.version, error)
            return None
        if wanted.digest is None:
            self._pointed[wanted.model] = wanted.version
            self._refused.pop(wanted.model, None)
        return scorer

    def _want(self, model: str, version: str, digest: str | None, now: float) -> None:
        self._wanted.pop((model, version), None)
        while len(self._wanted) >= _MAX_WANTED:
            del self._wanted[next(iter(self._wanted))]
        pause = RetryPause(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
        self._wanted[model, version] = _Wanted(model, version, digest, now, pause)

    def _drop(self, model: str, until: _Wanted | None = None) -> None:
        """Forgets what was wanted of a model, up to one of them; None: all of it."""
        for wanted in [wanted for wanted in self._wanted.values() if wanted.model == model]:
            del self._wanted[model, wanted.version]
            if wanted is until:
                return

    def _follow_pointer(self, model: str, version: str, used: OnnxScorer, now: float) -> None:
        wanted = next((wanted for wanted in reversed(self._wanted.values()) if wanted.model == model), None)
        if version != (wanted.version if wanted else used.manifest.model_version):
            self._want(model, version, None, now)
        elif wanted is None:
            self._pointed[model] = version
            self._refused.pop(model, None)

    def _ask(self, ask: Callable[[], Any]) -> _Question:
        return _Question(ask, at_once=self._store.local)

    def _read_pointer(self, model: str) -> str | BundleError | ConfigError | None:
        try:
            pointer = self._store.pointer(model)
        except (BundleError, ConfigError) as error:
            return error
        return pointer.model_version if pointer else None

    def _load(self, used: OnnxScorer, version: str, digest: str | None) -> OnnxScorer:
        scorer = load_bundle(self._store, used.manifest.model, version, digest)
        check_feed(self._settings, scorer)
        _check_sensors(scorer, used)
        log_old_keys(self._store, scorer)
        return scorer

    def _put_off(self, wanted: _Wanted, error: StoreError, now: float) -> None:
        pause_s = wanted.pause.next_s()
        wanted.due = now + pause_s
        self._log.warning(
            "model not taken up yet", model=wanted.model, version=wanted.version, reason=error.problem,
            remedy=error.remedy, next_try_s=pause_s,
        )  # fmt: skip

    def _refuse_once(self, model: str, error: WatchkeeperError) -> None:
        """What the pointer says is tried every minute: one line and one count until it is another."""
        if self._refused.get(model) == error.problem:
            return
        self._refused[model] = error.problem
        if isinstance(error, StoreError):
            self._log.warning("store not read", model=model, reason=error.problem, remedy=error.remedy)
        else:
            self._refuse(model, "in use", error)

    def _refuse(self, model: str, version: str, error: WatchkeeperError) -> None:
        self._metrics.refusals.labels(model).inc()
        self._log.error("model refused", model=model, version=version, reason=error.problem, remedy=error.remedy)


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
