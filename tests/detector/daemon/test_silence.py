"""Silence by the wall clock: only what was read to its end, while it was read, can be silent."""

import json
from collections.abc import Callable, Sequence

import pytest

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.core.ingest.rows import Record
from detector.core.outcome import Outcome
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.daemon.health import Health
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.transports import memory
from detector.transports.memory.topics import broker_of
from detector.transports.memory.transport import MemoryTransport
from schemas.alert import Alert, Condition
from schemas.config import Alarms, Drift, Kafka, Limits, Settings, WatchRule
from tests.support.plant import START_S, FakeScorer, settings, wide
from tests.support.tiny_bundle import tiny

ASSETS = tuple(f"pump-{number}" for number in range(10))


class Plant:
    """Ten assets that send once a second in two partitions, and a daemon; time passes by `second` alone."""

    def __init__(self, store: Store, address: str) -> None:
        self.settings = Settings(
            store=store.url,
            watch=(WatchRule(model="pump"),),
            kafka=Kafka(bootstrap_servers=address),
            limits=Limits(checkpoint_s=1e-6, poll_interval_ms=0, poll_records=20),
            drift=Drift(enabled=False),
            alarms=Alarms(silent_after_s=60.0, silence_clock="wall"),
        ).model_copy(update={"transport": "memory"})
        self.broker, self.now, self.sending = broker_of(self.settings), START_S, set(ASSETS)
        self.broker.sleep = lambda _seconds: None
        memory.admin(self.settings, create=True, partitions=2, replication=-1, wait_s=0.0)
        self.transport = MemoryTransport(self.settings, self.broker)
        scorers = {"pump": load_bundle(store, "pump", "v1")}
        self.loop = Loop(self.settings, self.transport, scorers, Metrics(), Health(), clock=lambda: self.now)

    def second(self, ticks: int = 1) -> None:
        """Every asset sends a row, and the daemon has so many turns."""
        self.now += 1.0
        for asset in sorted(self.sending):
            body = {"asset": asset, "timestamp": self.now, "flow": self.now % 7, "head": self.now % 5}
            self.broker.append(self.settings.topics.input, json.dumps(body).encode(), asset.encode())
        for _ in range(ticks):
            self.loop.tick()

    def silent(self) -> list[str]:
        """The assets that were said to be silent, in order."""
        logs = [self.broker.log(self.settings.topics.alerts, number) for number in (0, 1)]
        alerts = [Alert.model_validate_json(record.value or b"") for log in logs for record in log.records]
        return [a.subject for a in alerts if a.data.condition is Condition.SILENT]


@pytest.fixture
def plant(tmp_path: object, request: pytest.FixtureRequest) -> Plant:
    """A plant that has run for a while."""
    store = Store(str(tmp_path))
    tiny("v1", model="pump").publish(store)
    store.promote("pump", "v1")
    made = Plant(store, request.node.name)
    for _ in range(30):
        made.second()
    return made


def _hold_up(plant: Plant) -> None:
    """The daemon has no turn for 70 s: a restore, a machine that slept."""
    for _ in range(70):
        plant.second(ticks=0)


def _restore(plant: Plant) -> None:
    """The same within a turn, in which the partitions are taken up anew."""
    plant.broker.group(plant.settings.kafka.group, plant.settings.topics.input).evict(plant.transport.member)
    restore = plant.transport.restore

    def slow(partition: int, *given: object) -> object:
        _hold_up(plant)
        return restore(partition)

    plant.transport.restore = slow  # type: ignore[method-assign,assignment]
    plant.second()
    plant.transport.restore = restore  # type: ignore[method-assign]


@pytest.mark.parametrize("trouble", [_hold_up, _restore])
def test_nobody_is_silent_who_was_not_read(plant: Plant, trouble: Callable[[Plant], None]) -> None:
    """A daemon that was held up takes no asset for silent that never stopped."""
    trouble(plant)
    for _ in range(200):
        plant.second(ticks=3)
    assert plant.silent() == []


def test_who_really_stops_is_silent(plant: Plant) -> None:
    """After a hold-up as before it: a minute of asking in vain makes a silence."""
    plant.sending.remove("pump-3")
    for _ in range(65):
        plant.second()
    assert plant.silent() == ["pump-3"]
    _hold_up(plant)
    plant.sending.remove("pump-5")
    for _ in range(150):
        plant.second(ticks=3)
    assert plant.silent() == ["pump-3", "pump-5"]


def test_a_wall_clock_that_is_set_back_stops_no_silence(plant: Plant) -> None:
    """It is measured by the time that passed, not against a moment that lies ahead."""
    plant.now -= 3600.0
    plant.sending.remove("pump-3")
    for _ in range(75):
        plant.second()
    assert plant.silent() == ["pump-3"]


def test_a_partition_with_more_than_a_poll_left_is_behind(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is told so at every poll until the rest is less."""
    told: list[set[int]] = []
    process = plant.loop.watch.process

    def listening(records: Sequence[Record], now: float, behind: set[int]) -> Outcome:
        told.append(behind)
        return process(records, now, behind)

    monkeypatch.setattr(plant.loop.watch, "process", listening)
    plant.second()
    _hold_up(plant)
    for _ in range(60):
        plant.loop.tick()
    assert (told[0], told[1], told[-1]) == (set(), {0, 1}, set())


def test_an_asset_of_a_partition_that_is_behind_is_not_silent() -> None:
    """It gets its time once more when the partition is read to its end; other partitions are judged meanwhile."""
    over = Watch(WatchSettings.of(settings()), {"m": FakeScorer()}, by_feed=False, topic="sensors")
    over.process([wide(0, f"a{n}", START_S, (0.0, 0.0, 0.0), partition=n) for n in (0, 1)], START_S)
    alerts = [over.process([], START_S + t, {0} if t < 100 else set()).alerts for t in range(200)]
    (first, a), (second, b) = [(t, given[0]) for t, given in enumerate(alerts) if given]
    assert (a.subject, first, b.subject) == ("a1", 31, "a0")
    assert 100 <= second <= 130
