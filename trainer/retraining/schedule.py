"""The schedule of retraining: a model is due once its newest version is old enough.

The age is that of the version in the store, and not of the worker: a worker that restarts every night asks as often as
one that runs for months, and a person's training counts as well. A model without a version is due at once.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from detector.bundles.loading import load_manifest
from detector.bundles.store import Store

Newest = Callable[[str], datetime | None]  # when a model's newest version was made; None: it has none


class Schedule:
    """Says which models are due. Takes `now`, and reads no clock."""

    def __init__(self, models: Iterable[str], every_s: float, newest: Newest) -> None:
        """every_s: the age at which a version is to be followed by another; newest: asked only when one may be due."""
        self._every = timedelta(seconds=every_s)
        self._newest = newest
        self._not_before: dict[str, datetime | None] = dict.fromkeys(models)

    def due(self, now: datetime) -> list[str]:
        """Models to ask for now. None is given again within `every_s`, whatever becomes of the request."""
        return [model for model in self._not_before if self._is_due(model, now)]

    def _is_due(self, model: str, now: datetime) -> bool:
        not_before = self._not_before[model]
        if not_before is not None and now < not_before:
            return False
        newest = self._newest(model)  # another worker or a person may have trained meanwhile
        due = newest is None or now >= newest + self._every
        self._not_before[model] = now + self._every if newest is None or due else newest + self._every
        return due


def newest_version(store: Store, model: str) -> datetime | None:
    """When the model's newest version was made, promoted or not; None where it has none. Raises BundleError."""
    versions = store.versions(model)
    return load_manifest(store, model, versions[-1])[0].created if versions else None
