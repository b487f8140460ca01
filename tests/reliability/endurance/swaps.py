"""Hot swaps under load: every record scored, each by one version as a whole, and memory level at the end.

Two models take turns; the second one's score is exactly twice the first one's, so that a record's score says which
version made it, whatever its message claims.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.speed.figures import Figure
from deploy.local.broker import Broker
from deploy.local.process import DaemonProcess
from detector.bundles.loading import load_manifest
from detector.bundles.store import Store
from schemas.manifest import Golden
from tests.reliability.endurance.setup import ALL, report
from tests.support.installation import Installation, install, story
from tests.support.kafka_client import Cluster, Message, eventually
from tests.support.tiny_bundle import WINDOW, Tiny, expected, golden_file, graph, tiny

ASSETS = [f"pump-{number}" for number in range(20)]
SECONDS_A_SWAP = 20  # of event time: 400 records between two swaps
BATCH = 50


class _ScoresMessage(msgspec.Struct):
    model_version: str
    partition: int
    offsets: list[int]
    scores: list[float | None]


def swaps(count: int) -> list[Figure]:
    """Publishes so many versions, one after the other, while records come."""
    with tempfile.TemporaryDirectory(prefix="watchkeeper-swaps-") as folder, Broker() as broker:
        models = Store(f"{folder}/models")
        _bundle(0).publish(models)
        models.promote("pump", "v0")
        place = install(
            Cluster(broker.bootstrap), Path(folder) / "k", Path(folder) / "models", partitions=2, scores=ALL,
            alarms={"silent_after_s": 1e9},
        )  # fmt: skip
        feed = story(ASSETS, SECONDS_A_SWAP * (count + 1), {})
        with place.daemon() as process:
            process.wait_ready()
            early, late = _run(place, process, models, feed, count)
            assert process.stop() == 0
        wrong, scored, versions = _check(place, feed)
    return [
        Figure("hot swaps", versions - 1, aim_low=float(count)),
        Figure("records", len(feed)),
        Figure("records without their score", len(feed) - len(ASSETS) * (WINDOW - 1) - scored, aim_high=0.0),
        Figure("records scored by another version than their message says", wrong, aim_high=0.0),
        Figure("memory after a tenth of the swaps", early, "MiB"),
        Figure("memory at the end", late, "MiB", aim_high=early * 1.1),
    ]


def _run(
    place: Installation, process: DaemonProcess, models: Store, feed: list[Message], count: int
) -> tuple[float, float]:
    size, early = len(feed) // (count + 1), 0.0
    for number in range(1, count + 1):
        _bundle(number).publish(models)
        place.cluster.produce(place.topic, feed[(number - 1) * size : number * size])
        _announce(place, models, f"v{number}")
        eventually(partial(_swapped, process, number), 30, f"swap {number}")
        if number == max(count // 10, 1):
            early = process.vitals().resident_mib
        if number % BATCH == 0:
            report(f"{number} of {count} swaps, {process.vitals().resident_mib:.0f} MiB")
    place.cluster.produce(place.topic, feed[count * size :])
    place.await_committed(len(feed), 120)
    return early, process.vitals().resident_mib


def _swapped(process: DaemonProcess, number: int) -> bool:
    return process.metric("watchkeeper_model_swaps_total") >= number


def _check(place: Installation, feed: list[Message]) -> tuple[int, int, int]:
    """Records whose score is not their version's, records scored, versions seen."""
    truth = _truth(place)
    wrong, seen, versions = 0, set(), set()
    for read in place.read("scores"):
        part = msgspec.json.decode(read.value or b"", type=_ScoresMessage)
        versions.add(part.model_version)
        factor = _factor(int(part.model_version[1:]))
        for offset, score in zip(part.offsets, part.scores, strict=True):
            if score is None:  # of an asset's first rows, whose window is not full; after a swap it is full already
                continue
            seen.add((part.partition, offset))
            wrong += not np.isclose(score, factor * truth[part.partition, offset], rtol=1e-4)
    assert len(truth) == len(feed)
    return wrong, len(seen), len(versions)


def _truth(place: Installation) -> dict[tuple[int, int], float]:
    """The plain score of every record, worked out from its own values."""
    reads = place.cluster.read_all(place.topic)
    rows = [json.loads(read.value or b"{}") for read in reads]
    cells = np.array([[row["flow"], row["temperature"]] for row in rows], np.float32)
    windows = np.repeat(cells[:, None, :], WINDOW, axis=1)  # the tiny model looks at the last row only
    plain, _ = expected(windows)
    return {(read.partition, read.offset): float(score) for read, score in zip(reads, plain, strict=True)}


def _factor(number: int) -> float:
    return 2.0 if number % 2 else 1.0


def _bundle(number: int) -> Tiny:
    """Version vNUMBER; odd ones score twice as high."""
    if number % 2 == 0:
        return tiny(f"v{number}", model="pump")
    model = graph()
    mean = next(node for node in model.graph.node if node.output[0] == "score")
    mean.output[0] = "once"
    model.graph.node.append(helper.make_node("Mul", ["once", "two"], ["score"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2.0, np.float32), "two"))
    onnx.checker.check_model(model)
    golden = Golden.model_validate_json(golden_file())
    twice = golden.model_copy(update={"score": tuple(2.0 * score for score in golden.score)})
    return tiny(
        f"v{number}", model="pump", onnx_bytes=model.SerializeToString(), golden=twice.model_dump_json().encode()
    )


def _announce(place: Installation, models: Store, version: str) -> None:
    body = {
        "type": "model_published", "version": 1, "id": f"announce-{version}", "model": "pump",
        "model_version": version, "manifest_sha256": load_manifest(models, "pump", version)[1],
        "at": "2026-03-01T00:00:00Z", "answers": None,
    }  # fmt: skip
    place.cluster.produce(f"{place.topic}.control", [Message(json.dumps(body).encode())])
