"""How often a request was begun, kept beside the model's decisions: there it outlives a worker that is killed.

A training that takes more memory than the machine has ends the process, and no handler runs. The request was not
answered, so it comes again; without a count it would end every worker, for ever.
"""

import json

from detector.bundles.store import Store

MAX_ATTEMPTS = 3
_FILE = "attempts.json"
_KEPT = 20  # requests; older ones have long been answered


class Attempts:
    """Counts the attempts at requests. Raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def made(self, model: str, request: str) -> int:
        """Attempts that began and did not end in an answer."""
        return self._read(model).get(request, 0)

    def begin(self, model: str, request: str) -> None:
        """One more, written before the work begins."""
        counts = self._read(model)
        count = counts.pop(request, 0) + 1
        self._write(model, counts | {request: count})

    def withdraw(self, model: str, request: str) -> None:
        """The last one does not count: a person stopped the worker."""
        counts = self._read(model)
        count = counts.pop(request, 0) - 1
        self._write(model, counts | ({request: count} if count > 0 else {}))

    def end(self, model: str, request: str) -> None:
        """The request was answered."""
        counts = self._read(model)
        if counts.pop(request, None) is not None:
            self._write(model, counts)

    def _read(self, model: str) -> dict[str, int]:
        """A file that was damaged counts nothing: it may cost three attempts more, and no more."""
        try:
            counts = json.loads(self._store.read_beside(model, _FILE) or b"{}")
            return {str(request): int(count) for request, count in counts.items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def _write(self, model: str, counts: dict[str, int]) -> None:
        kept = dict(list(counts.items())[-_KEPT:])
        self._store.write_beside(model, _FILE, json.dumps(kept).encode())
