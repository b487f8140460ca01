"""Announces again what is in use and was never announced: the worker ended, or the broker was away, in between."""

import json
from datetime import UTC, datetime

import structlog

from detector.bundles.loading import load_manifest
from detector.bundles.store import DECISIONS, Store
from detector.errors import DataError, WatchkeeperError
from detector.transports.control import parse_control, send_control
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.control import ModelPublished


def announce_again(settings: Settings) -> None:
    """Sends what the store's pointers say and the control topic does not. What fails is logged: daemons look too."""
    log = structlog.get_logger()
    try:
        announced = newest_announcements(settings)
    except WatchkeeperError as error:
        log.warning("announcements not compared", reason=error.problem)
        return
    for model in dict.fromkeys(rule.model for rule in settings.watch):
        try:
            message = missing_announcement(Store.of(settings), model, announced.get(model))
            if message is None:
                continue
            send_control(settings, message)
        except (WatchkeeperError, OSError) as error:
            log.warning("not announced again", model=model, reason=str(error))
        else:
            log.info("announced again", model=model, version=message.model_version)


def newest_announcements(settings: Settings) -> dict[str, str]:
    """The version of each model that the control topic announced last."""
    announced: dict[str, str] = {}
    try:
        for value in transport_of(settings).read_topic(settings, settings.topics.control, follow=False):
            message = parse_control(value)
            if isinstance(message, ModelPublished):
                announced[message.model] = message.model_version
    except DataError:
        pass  # nobody has written to it yet
    return announced


def missing_announcement(store: Store, model: str, announced: str | None) -> ModelPublished | None:
    """What is to be announced; None where all is said. A version that `train` promoted needs no word."""
    pointer = store.pointer(model)
    if pointer is None or pointer.model_version == announced:
        return None
    version = pointer.model_version
    request = decided_for(store, model, version)
    if announced is None and request is None:
        return None
    at = datetime.now(UTC)
    return ModelPublished(
        id=f"again-{model}-{version}-{int(at.timestamp())}",
        model=model,
        model_version=version,
        manifest_sha256=load_manifest(store, model, version)[1],
        at=at,
        answers=request,
    )


def decided_for(store: Store, model: str, version: str) -> str | None:
    """The request whose decision gave this version; None where no decision did."""
    for line in reversed(store.read_beside(model, DECISIONS).splitlines()):
        try:
            decision = json.loads(line)
            if decision["version"] == version and decision["decision"] == "model_published":
                return str(decision["request"]["id"])
        except (ValueError, KeyError, TypeError):
            continue
    return None
