"""Faults of models: bad ones announced, good ones swapped under load, a publisher killed, drift everywhere at once."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec

from detector.bundles.loading import load_bundle
from detector.bundles.store import MODEL, Store
from schemas.control import RetrainRequest
from tests.reliability.faults.bench import Bench
from tests.reliability.faults.failpoints import Trap
from tests.reliability.faults.ledger import Account, Place
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import fault, harm
from tests.support.installation import announce
from tests.support.kafka_client import eventually
from tests.support.tiny_bundle import Tiny, tiny

COOLDOWN_S = 60.0  # event time


@harm("tampered, truncated and mismatched model")
def bad_models(plant: Plant, bench: Bench) -> None:
    """Each is refused and counted, the old one stays; after a SIGKILL as well."""
    plant.start()
    plant.works()
    graphs = [_publish(bench, "pump") for _ in range(2)]
    with graphs[0].open("ab") as file:
        file.write(b"\x00")
    graphs[1].write_bytes(graphs[1].read_bytes()[:-100])
    for graph in graphs:
        announce(plant.place, bench.store, graph.parent.name)
    announce(plant.place, bench.store, _publish(bench, "pump").parent.name, digest="0" * 64)
    announce(plant.place, bench.store, _publish(bench, "pump", _other_sensors).parent.name)
    eventually(lambda: plant.metric("model_refusals_total") == 4, what="four refusals")
    assert plant.metric("model_swaps_total") == 0
    assert plant.metric("model_info", version="v1") == 1
    plant.kill()


def _other_sensors(bundle: Tiny) -> Tiny:
    sensors = tuple(sensor.model_copy(update={"name": f"{sensor.name}_2"}) for sensor in bundle.manifest.sensors)
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"sensors": sensors}))


def _publish(bench: Bench, model: str, change: Callable[[Tiny], Tiny] | None = None) -> Path:
    """A version of its own name; gives its graph's file."""
    version = bench.name("v")
    bundle = tiny(version, model=model)
    (change(bundle) if change else bundle).publish(Store(str(bench.store)))
    return bench.store / model / version / MODEL


@fault("hot swap under load")
def hot_swap(bench: Bench, guarantee: str) -> Account:
    """One version after the other in the middle of the feed: a record is judged by one, and by the same rule."""
    laid = bench.steady()
    truth = bench.truth(laid, "plain")
    with bench.plant(laid, guarantee, **bench.paced({"watch": [{"model": "plain"}]})) as plant:
        versions = [_publish(bench, "plain").parent.name for _ in range(2)]  # in time: a busy machine takes seconds
        plant.start()
        plant.works()
        for version in versions:
            _swap(plant, bench, version)
        assert not plant.is_done(), "the last swap came after the last record"
        plant.finish()
        # Versions are told in alerts and kept in the state, and no two runs swap at the same record.
        books = plant.books()
        told = {key: re.sub(rb'"model_version":"[^"]*"', b'"model_version":"v1"', a) for key, a in books.alerts.items()}
        account = plant.settle(truth, books=replace(books, alerts=told, state=truth.state))
        return replace(account, complaints=(*account.complaints, *_two_masters(plant)))


def _swap(plant: Plant, bench: Bench, version: str) -> None:
    announce(plant.place, bench.store, version, model="plain")
    eventually(lambda: plant.metric("model_info", version=version) == 1, what="the swap")


class _Part(msgspec.Struct):
    partition: int
    offsets: list[int]
    model_version: str | None


def _two_masters(plant: Plant) -> Iterable[str]:
    """A complaint where a record was judged by two versions, or an older version came back."""
    judges: dict[Place, set[str | None]] = {}
    for read in plant.place.read("scores"):
        part = msgspec.json.decode(read.value or b"", type=_Part)
        for offset in part.offsets:
            judges.setdefault((part.partition, offset), set()).add(part.model_version)
    if any(len(versions) > 1 for versions in judges.values()):
        yield "a record was judged by two versions"
    order = [next(iter(versions)) for _, versions in sorted(judges.items())]
    changes = sum(one != other for one, other in pairwise(order))
    if len(set(order)) != 3 or changes > 3 * len(plant.ends) - 1:
        yield f"{len(set(order))} versions took turns {changes} times"


@harm("worker killed in mid-publish")
def publisher_killed(plant: Plant, bench: Bench) -> None:
    """Half a version is no version: not in the list, not to be loaded, and not in the way of the next."""
    plant.start()
    model = bench.name("victim")
    store = Store(str(bench.store))
    command = [sys.executable, "-m", "tests.reliability.faults.publisher", str(bench.store), model, "v1", "200"]
    for _ in range(bench.kills):
        publisher = subprocess.Popen(command)
        eventually(lambda: any((bench.store / model).glob("*/report.html")), what="the first file")
        publisher.kill()
        publisher.wait()
        assert model not in store.models()
        assert store.versions(model) == []
        for half in (bench.store / model).glob(".*"):
            shutil.rmtree(half)
    assert subprocess.run([*command[:-1], "1"], check=False).returncode == 0
    assert load_bundle(store, model, "v1").manifest.model_version == "v1"


@harm("drift storm", model="drifting", drift={"cooldown_s": COOLDOWN_S})
def drift_storm(plant: Plant, bench: Bench) -> None:
    """All assets drift from the first block on; killed right after it asked, the daemon asks once a cooldown."""
    plant.start(trap=Trap("send:control", "after", 1))
    assert plant.snapped(), "nobody asked for a retraining"
    plant.start()
    plant.works()
    plant.kill()
    plant.finish()
    requests = {
        r.id: r for r in (RetrainRequest.model_validate_json(read.value or b"") for read in plant.place.read("control"))
    }
    moments = sorted(request.at for request in requests.values())
    assert moments, "no request"
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert all(gap >= COOLDOWN_S for gap in gaps), gaps
