"""One retrain request, from the history it looks back on to the decision, which is written down with its figures."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from detector.bundles.loading import OnnxScorer, load_bundle, load_manifest
from detector.bundles.store import Store
from detector.core.placement import match
from detector.errors import DataError, WatchkeeperError, one_line
from detector.transports.package import Span
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.control import ModelPublished, ModelRejected, RetrainRequest
from schemas.manifest import Pointer
from schemas.training import Training
from trainer.bundle.publish import publish
from trainer.data.history import History, gather
from trainer.data.sources import read_history
from trainer.data.thinning import Bound
from trainer.data.topic import topic_history
from trainer.parallel.progress import OnProgress, no_progress
from trainer.recipe import train
from trainer.retraining import gate
from trainer.retraining.exclusions import false_positives, incident_spans, left_out, noticed_after


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a request: the message that announces it, and the figures behind it."""

    message: ModelPublished | ModelRejected
    reason: str
    figures: dict[str, float]


def answer(settings: Settings, request: RetrainRequest, on_progress: OnProgress = no_progress) -> Decision:
    """Trains, judges, and promotes or keeps the candidate. Blocks for the training.

    Whatever fails, be it data, store, broker or memory, ends in a rejection that says why: a request without an answer
    would come again and fail again. Only an interruption passes.
    """
    version: str | None = None
    try:
        store = Store.of(settings)
        pointer = store.pointer(request.model)
        champion = load_bundle(store, request.model, pointer.model_version) if pointer else None
        training = settings.training.get(request.model, Training())
        history = normal_history(settings, request, training, champion)
        _check_rows(settings, history)
        rows = gate.split(history, settings.worker.gate_share)
        if champion is not None:
            gate.check_rows(champion, rows.gate)  # before the training, which may take hours
        parent = pointer.model_version if pointer else None
        fitted = train(rows.fit, request.model, training, parent, on_progress, decoder=True)
        publish(store, fitted, promote=False)
        version = fitted.manifest.model_version
        decision = _judge(settings, store, request, version, champion, rows.gate)
        if isinstance(decision.message, ModelRejected):
            return decision
        return _promote(store, request, pointer, decision)
    except Exception as error:  # noqa: BLE001  # whatever it is, the request is answered, and the worker goes on
        return rejected(request, version, reason_of(error))


def _judge(
    settings: Settings, store: Store, request: RetrainRequest, version: str, champion: OnnxScorer | None, rows: History
) -> Decision:
    """The decision by the gate; nothing is promoted yet. rows: the gate's."""
    candidate = load_bundle(store, request.model, version)
    if champion is None:
        return _published(store, request, version, "the model's first version", {})
    verdict = gate.judge(candidate, champion, rows, settings.worker.gate_tolerance)
    figures = {"candidate_error": verdict.candidate, "champion_error": verdict.champion, "windows": verdict.windows}
    if not verdict.passed:
        return rejected(request, version, f"not better than the champion: {verdict}", figures)
    return _published(store, request, version, str(verdict), figures)


def _promote(store: Store, request: RetrainRequest, before: Pointer | None, decision: Decision) -> Decision:
    """Puts the candidate into use, unless a person has moved the pointer since the training began."""
    version = str(decision.message.model_version)
    now = store.pointer(request.model)
    if now != before:
        used = now.model_version if now else "nothing"
        reason = f"superseded by a person: {used} was put into use during the training ({decision.reason})"
        return rejected(request, version, reason, decision.figures)
    store.promote(request.model, version)
    return decision


def reason_of(error: Exception) -> str:
    """What failed, in one line; the log gets the traceback of what nobody expected."""
    if isinstance(error, WatchkeeperError):
        return str(error)
    structlog.get_logger().error("training failed", exc_info=error)
    if isinstance(error, MemoryError):
        return "the training needs more memory than there is: lower training.<model>.max_windows or worker.history_s"
    return one_line(f"{type(error).__name__}: {str(error)[:300]} (unexpected: the worker's log has its traceback)")


def normal_history(
    settings: Settings, request: RetrainRequest, training: Training, champion: OnnxScorer | None
) -> History:
    """The feed's span that the request looks back on, without incidents, and with the frozen reference set."""
    sensors = _sensors(training, champion)
    begin = request.at.timestamp() - settings.worker.history_s
    history = _of_model(settings, request.model, _read(settings, request.model, sensors, training, begin, champion))
    # A person and a schedule ask by the clock; the feed's own time may be far behind it.
    newest = history.span[1].timestamp()
    history = history.between(min(begin, newest - settings.worker.history_s), float("inf"))
    spans = incident_spans(_stream(settings, settings.topics.alerts)).values()
    false = false_positives(_stream(settings, settings.topics.control))
    period = champion.manifest.period_s if champion else training.period_s or 1.0
    drift = champion.manifest.drift if champion else None
    blocks = (settings.drift.persist_blocks + 1) * drift.block_rows * period if drift else 0.0
    margin = training.window * period
    noticed = noticed_after(settings.alarms, champion.manifest) if champion else None
    out = left_out(
        spans, false, request, assets=len(history.assets), drift_s=blocks, margin_s=margin, noticed_s=noticed
    )
    history = history.without(out)
    if settings.worker.reference is not None:
        history = gather(
            [read_history([settings.worker.reference], settings.feed, sensors, training.period_s), history]
        )
    return history


def write_down(settings: Settings, request: RetrainRequest, decision: Decision) -> None:
    """Appends the decision to `decisions.jsonl` beside the model's versions."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "request": request.model_dump(mode="json"),
        "decision": decision.message.type,
        "version": decision.message.model_version,
        "reason": decision.reason,
        "figures": decision.figures,
    }
    Store.of(settings).write_down(request.model, json.dumps(line).encode())


def _read(
    settings: Settings,
    model: str,
    sensors: tuple[str, ...] | None,
    training: Training,
    begin: float,
    champion: OnnxScorer | None,
) -> History:
    # Record times are the broker's: at or after the event, so nothing of the span lies before this offset.
    span = Span(begin_ms=int(begin * 1000)) if begin > 0 else Span()  # a broker knows no time before 1970
    period_s = training.period_s or (champion.manifest.period_s if champion else None)
    bound = Bound(settings.worker.max_history_mb * 1_000_000, training.window, period_s)
    return topic_history(settings, span, sensors, training.period_s, bound, model)


def _sensors(training: Training, champion: OnnxScorer | None) -> tuple[str, ...] | None:
    if training.sensors is not None:
        return tuple(training.sensors)
    return tuple(sensor.name for sensor in champion.manifest.sensors) if champion else None


def _of_model(settings: Settings, model: str, history: History) -> History:
    """Only the assets that the watch rules give to this model."""
    assets = tuple(asset for asset in history.assets if match(settings.watch, asset.name) == model)
    if not assets:
        raise DataError(f"{history.source} has no asset that a rule gives to {model}", "check 'watch'")
    return replace(history, assets=assets)


def _stream(settings: Settings, topic: str) -> Iterable[bytes]:
    """What a stream holds now; nothing where its file was never written."""
    try:
        yield from transport_of(settings).read_topic(settings, topic, follow=False)
    except DataError:
        return


def _check_rows(settings: Settings, history: History) -> None:
    if history.rows < settings.worker.min_rows:
        raise DataError(
            f"{history.rows} normal rows are left of the span, fewer than worker.min_rows ({settings.worker.min_rows})",
            "wait for more, raise worker.history_s, or mark false alarms as false_positive",
        )


def rejected(
    request: RetrainRequest, version: str | None, reason: str, figures: dict[str, float] | None = None
) -> Decision:
    """The answer to a request that gave no model to use. version: the candidate that was kept, if there is one."""
    message = ModelRejected(
        id=_id(request, version or "none"),
        model=request.model,
        model_version=version,
        at=datetime.now(UTC),
        answers=request.id,
        reason=reason,
    )
    return Decision(message, reason, figures or {})


def _published(store: Store, request: RetrainRequest, version: str, reason: str, figures: dict[str, float]) -> Decision:
    digest = load_manifest(store, request.model, version)[1]
    message = ModelPublished(
        id=_id(request, version),
        model=request.model,
        model_version=version,
        manifest_sha256=digest,
        at=datetime.now(UTC),
        answers=request.id,
    )
    return Decision(message, reason, figures)


def _id(request: RetrainRequest, version: str) -> str:
    return hashlib.sha256(f"{request.id}\x1f{version}".encode()).hexdigest()[:20]
