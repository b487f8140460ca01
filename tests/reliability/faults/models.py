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
from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.failpoints import Failpoint
from tests.reliability.faults.ledger import Place, Reconciliation
from tests.reliability.faults.registry import fault, run_fault
from tests.reliability.faults.testbed import FaultTestbed
from tests.support.installation import announce
from tests.support.kafka_client import eventually
from tests.support.tiny_bundle import Tiny, tiny

COOLDOWN_S = 60.0  # event time


@run_fault("tampered, truncated and mismatched model")
def bad_models(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Each is refused and counted, the old one stays; after a SIGKILL as well."""
    daemons.start()
    daemons.works()
    graphs = [_publish(testbed, "pump") for _ in range(2)]
    with graphs[0].open("ab") as file:
        file.write(b"\x00")
    graphs[1].write_bytes(graphs[1].read_bytes()[:-100])
    for graph in graphs:
        announce(daemons.place, testbed.store, graph.parent.name)
    announce(daemons.place, testbed.store, _publish(testbed, "pump").parent.name, digest="0" * 64)
    announce(daemons.place, testbed.store, _publish(testbed, "pump", _other_sensors).parent.name)
    eventually(lambda: daemons.metric("model_refusals_total") == 4, what="four refusals")
    assert daemons.metric("model_swaps_total") == 0
    assert daemons.metric("model_info", version="v1") == 1
    daemons.kill()


def _other_sensors(bundle: Tiny) -> Tiny:
    sensors = tuple(sensor.model_copy(update={"name": f"{sensor.name}_2"}) for sensor in bundle.manifest.sensors)
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"sensors": sensors}))


def _publish(testbed: FaultTestbed, model: str, change: Callable[[Tiny], Tiny] | None = None) -> Path:
    """A version of its own name; gives its graph's file."""
    version = testbed.name("v")
    bundle = tiny(version, model=model)
    (change(bundle) if change else bundle).publish(Store(str(testbed.store)))
    return testbed.store / model / version / MODEL


@fault("hot swap under load")
def hot_swap(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
    """One version after the other in the middle of the feed: a record is judged by one, and by the same rule."""
    feed_topic = testbed.steady()
    baseline = testbed.baseline(feed_topic, "plain")
    with testbed.daemons(feed_topic, guarantee, **testbed.paced({"watch": [{"model": "plain"}]})) as daemons:
        versions = [_publish(testbed, "plain").parent.name for _ in range(2)]  # in time: a busy machine takes seconds
        daemons.start()
        daemons.works()
        for version in versions:
            _swap(daemons, testbed, version)
        assert not daemons.is_done(), "the last swap came after the last record"
        daemons.finish()
        # Versions are told in alerts and kept in the state, and no two runs swap at the same record.
        outputs = daemons.outputs()
        told = {
            key: re.sub(rb'"model_version":"[^"]*"', b'"model_version":"v1"', a) for key, a in outputs.alerts.items()
        }
        reconciliation = daemons.reconcile(baseline, outputs=replace(outputs, alerts=told, state=baseline.state))
        return replace(reconciliation, problems=(*reconciliation.problems, *_two_masters(daemons)))


def _swap(daemons: DaemonRun, testbed: FaultTestbed, version: str) -> None:
    announce(daemons.place, testbed.store, version, model="plain")
    eventually(lambda: daemons.metric("model_info", version=version) == 1, what="the swap")


class _ScoresMessage(msgspec.Struct):
    partition: int
    offsets: list[int]
    model_version: str | None


def _two_masters(daemons: DaemonRun) -> Iterable[str]:
    """A complaint where a record was judged by two versions, or an older version came back."""
    judges: dict[Place, set[str | None]] = {}
    for read in daemons.place.read("scores"):
        part = msgspec.json.decode(read.value or b"", type=_ScoresMessage)
        for offset in part.offsets:
            judges.setdefault((part.partition, offset), set()).add(part.model_version)
    if any(len(versions) > 1 for versions in judges.values()):
        yield "a record was judged by two versions"
    order = [next(iter(versions)) for _, versions in sorted(judges.items())]
    changes = sum(one != other for one, other in pairwise(order))
    if len(set(order)) != 3 or changes > 3 * len(daemons.ends) - 1:
        yield f"{len(set(order))} versions took turns {changes} times"


@run_fault("worker killed in mid-publish")
def publisher_killed(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """Half a version is no version: not in the list, not to be loaded, and not in the way of the next."""
    daemons.start()
    model = testbed.name("victim")
    store = Store(str(testbed.store))
    command = [sys.executable, "-m", "tests.reliability.faults.publisher", str(testbed.store), model, "v1", "200"]
    for _ in range(testbed.kills):
        publisher = subprocess.Popen(command)
        eventually(lambda: any((testbed.store / model).glob("*/report.html")), what="the first file")
        publisher.kill()
        publisher.wait()
        assert model not in store.models()
        assert store.versions(model) == []
        for half in (testbed.store / model).glob(".*"):
            shutil.rmtree(half)
    assert subprocess.run([*command[:-1], "1"], check=False).returncode == 0
    assert load_bundle(store, model, "v1").manifest.model_version == "v1"


@run_fault("drift storm", model="drifting", drift={"cooldown_s": COOLDOWN_S})
def drift_storm(daemons: DaemonRun, testbed: FaultTestbed) -> None:
    """All assets drift from the first block on; killed right after it asked, the daemon asks once a cooldown."""
    daemons.start(failpoint=Failpoint("send:control", "after", 1))
    assert daemons.struck(), "nobody asked for a retraining"
    daemons.start()
    daemons.works()
    daemons.kill()
    daemons.finish()
    requests = {
        r.id: r
        for r in (RetrainRequest.model_validate_json(read.value or b"") for read in daemons.place.read("control"))
    }
    moments = sorted(request.at for request in requests.values())
    assert moments, "no request"
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert all(gap >= COOLDOWN_S for gap in gaps), gaps
