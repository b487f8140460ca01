"""Manifests: a manifest or a BundleError in one line; a manifest that is accepted can be watched with."""

import json
from datetime import UTC
from pathlib import Path
from random import Random

import fsspec

from detector.bundles.loading import load_manifest
from detector.bundles.store import MANIFEST, Store
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.daemon.swaps import check_feed
from detector.errors import BundleError
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import json_mutated
from tests.reliability.fuzz.usable import is_deep, run_rows, scorer_of, small_manifest
from tests.support.plant import START_S, settings
from tests.support.plant import manifest as plain_manifest

_GOLDEN = Path(__file__).parents[2] / "golden" / "v1" / "manifest.json"
_STORE = Store("memory://fuzz")
_FILES = fsspec.filesystem("memory")
_SETTINGS = settings()
_CELLS = 20_000  # a larger window is accepted as well, but filling it is no quick case


def one(data: bytes) -> bool:
    """Reads from a store in memory; what is accepted watches a dozen rows."""
    _FILES.pipe_file(f"/fuzz/m/v1/{MANIFEST}", data)
    try:
        found, digest = load_manifest(_STORE, "m", "v1")
    except BundleError as error:
        assert_plain(str(error))
        return False
    assert len(digest) == 64
    assert type(found).model_validate_json(found.model_dump_json()) == found
    assert found.created.tzinfo is UTC
    if found.window * len(found.sensors) > _CELLS or not is_deep(data):
        return True
    try:
        check_feed(_SETTINGS, scorer_of(found))
    except BundleError as error:
        assert_plain(str(error))
        return False
    watch = Watch(WatchSettings.of(_SETTINGS), {"m": scorer_of(found)}, by_feed=True, topic="sensors")
    run_rows(watch, "m", "a", 0, START_S)
    return True


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One field of the document changed."""
    return json_mutated(data, rng)


def seeds() -> list[bytes]:
    """The golden manifest under the name that is asked for, and the plant's."""
    golden = json.loads(_GOLDEN.read_bytes()) | {"model": "m", "model_version": "v1"}
    plain = [small_manifest().model_dump(mode="json"), plain_manifest(sensors=1).model_dump(mode="json")]
    graph = {**plain[0], "scoring": {"method": "graph"}, "drift": None}
    return [json.dumps(document, separators=(",", ":")).encode() for document in (golden, *plain, graph)]


TARGET = Target(
    name="manifest",
    promise="a manifest that can be watched with, or a BundleError in one plain line",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b'"sensors":', b'"window":', b'"stride":', b'"precision":', b'"center":', b'"vector_alpha":', b'"block_rows":',
        b'"stuck_rows":', b'"low":', b'"threshold":', b"mahalanobis", b'"version":2', b"NaN", b"1e400", b"1e308",
        b"1e-320", b"\\ud800", b"\\n", b"[[[[[[", b"99999999999999999999", b"../../etc", b"null",
    ),
    longest=4096,
)  # fmt: skip
