"""A topic that holds more than is watched is normal, and a plant at standstill sends."""

import json
from typing import Any, Literal

import pytest

from detector.core.outcome import Outcome
from detector.core.watch import Watch
from detector.daemon.policies import BadInputPolicy
from schemas.alert import Condition
from schemas.config import Feed, Limits, WatchRule
from schemas.feed import CellFault, RowFlag
from tests.support.plant import START_S, FakeRecord, manifest, settings, watch

Form = Literal["wide", "long"]


def record(offset: int, asset: str, time_s: Any, values: dict[str, Any], form: Form, *, keyed: bool) -> FakeRecord:
    """A record of one asset; of a long one, `values` has one sensor."""
    fields: dict[str, Any] = {"timestamp": time_s} if keyed else {"asset": asset, "timestamp": time_s}
    sensor, value = next(iter(values.items()))
    fields |= values if form == "wide" else {"sensor": sensor, "value": value}
    return FakeRecord(offset, json.dumps(fields).encode(), key=asset.encode() if keyed else None)


def mixed(form: Form, *, keyed: bool, watched: str) -> Watch:
    """Watches the assets of a glob."""
    feed = Feed(form=form, asset="@key" if keyed else "asset", lateness_s=2.0)
    return watch(settings(feed=feed, watch=(WatchRule(model="m", assets=(watched,)),)))


def run(over: Watch, records: list[FakeRecord]) -> list[Outcome]:
    """Polls of a thousand, under the daemon's own policy of bad input."""
    policy = BadInputPolicy(Limits())
    outcomes = [over.process(records[i : i + 1000], 0.0) for i in range(0, len(records), 1000)]
    for outcome in outcomes:
        assert policy.add(outcome.records, len(outcome.dead_letters), 0.0, outcome.newest_s) is None
    return outcomes


@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize("keyed", [False, True])
def test_one_of_twenty_machines_watched(form: Form, keyed: bool) -> None:
    """19 others send texts, times and fields of their own: counted by name, and none is a dead letter."""
    over = mixed(form, keyed=keyed, watched="press-0")
    strange: list[dict[str, Any]] = [{"s0": "RUN"}, {"s0": True}, {"other": 1}, {"s0": {"v": 1}}, {"s0": 1.0}]
    records = []
    for n in range(20_000):
        machine = n % 20
        values = strange[machine % 5] if machine else {"s0": 0.1 * (n % 7), "s1": 0.2 * (n % 3), "s2": 0.3}
        time_s: Any = START_S + n // 20
        records.append(record(n, f"press-{machine}", time_s if machine % 4 != 1 else "noon", values, form, keyed=keyed))
    outcomes = run(over, records)
    assert sum(len(outcome.dead_letters) for outcome in outcomes) == 0
    assert set(over.unwatched) <= {f"press-{n}" for n in range(1, 20)}
    unwatched = sum(outcome.flags[RowFlag.UNWATCHED] for outcome in outcomes)
    passed = unwatched + sum(outcome.assembly["unknown_sensor"] for outcome in outcomes)
    assert passed == 19_000
    assert len(over.pipelines["m"].assets) == 1
    assert not sum((outcome.cell_faults for outcome in outcomes), start=type(outcomes[0].cell_faults)())


@pytest.mark.parametrize("keyed", [False, True])
def test_two_of_forty_tags_watched(keyed: bool) -> None:
    """The others are counted, whatever their values are; the two become rows."""
    over = mixed("long", keyed=keyed, watched="*")
    others = ["text", True, {"v": 1}, [1], 1e308, None, 7]
    records = [
        record(n, "press", START_S + n // 40, {f"s{n % 40}": 1.0 if n % 40 < 2 else others[n % 7]}, "long", keyed=keyed)
        for n in range(20_000)
    ]
    outcomes = run(over, records)
    assert sum(len(outcome.dead_letters) for outcome in outcomes) == 0
    assert sum(outcome.assembly["unknown_sensor"] for outcome in outcomes) == 20_000 // 40 * 37  # s2 is the model's
    assert {sensor for outcome in outcomes for sensor, _ in outcome.cell_faults} <= {"s2"}


@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("value", [None, "Bad"])
def test_a_plant_at_standstill_is_missing_and_not_silent(form: Form, keyed: bool, value: str | None) -> None:
    """A model of one sensor, and rows of nothing but nulls or texts: the sensor is MISSING, and the asset sends."""
    feed = Feed(form=form, asset="@key" if keyed else "asset", lateness_s=2.0)
    over = watch(settings(feed=feed), manifest(sensors=1))
    cells = [0.1 * (n % 7) if n < 20 else value for n in range(400)]
    records = [record(n, "press", START_S + n, {"s0": cell}, form, keyed=keyed) for n, cell in enumerate(cells)]
    outcomes = [over.process(records[i : i + 7], START_S) for i in range(0, 400, 7)]
    conditions = {alert.data.condition for outcome in outcomes for alert in outcome.alerts}
    assert Condition.MISSING in conditions
    assert Condition.SILENT not in conditions
    assert not [letter for outcome in outcomes for letter in outcome.dead_letters]
    found = sum((outcome.cell_faults for outcome in outcomes), start=type(outcomes[0].cell_faults)())
    assert found == ({} if value is None else {("s0", CellFault.TEXT): 380})
