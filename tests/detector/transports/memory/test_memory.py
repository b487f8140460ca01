"""The daemon's loop over the broker in memory: members come, go and are thrown out, and nothing is lost or doubled."""

import itertools
from collections.abc import Sequence
from functools import partial

import pytest

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.daemon.health import Health
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.errors import BrokerError
from detector.transports import memory
from detector.transports.interface import Stream
from detector.transports.memory.topics import broker_of
from detector.transports.memory.transport import MemoryTransport
from schemas.alert import Alert
from schemas.config import Drift, Kafka, Limits, Settings, WatchRule
from tests.support.installation import by_id, story
from tests.support.tiny_bundle import tiny

ASSETS = ("pump-1", "pump-2", "pump-3", "pump-4")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one version in use."""
    made = Store(str(tmp_path_factory.mktemp("models")))
    tiny("v1", model="pump").publish(made)
    made.promote("pump", "v1")
    return made


class Plant:
    """A broker with a feed in two partitions, and daemons that are run a turn at a time in one thread."""

    def __init__(self, store: Store, delivery: str) -> None:
        settings = Settings(
            store=store.url,
            watch=(WatchRule(model="pump"),),
            kafka=Kafka(bootstrap_servers=f"plant-{next(_numbers)}"),
            limits=Limits(checkpoint_s=1e-6, poll_interval_ms=0, poll_records=16),
            drift=Drift(enabled=False),
        )
        self.settings = settings.model_copy(update={"transport": "memory", "delivery": delivery})
        self._scorer = load_bundle(store, "pump", "v1")
        self.broker = broker_of(self.settings)
        self.broker.sleep = lambda _seconds: None
        memory.admin(self.settings, create=True, partitions=2, replication=-1, wait_s=0.0)
        for message in story(ASSETS, 60, {20: 35}):
            self.broker.append(self.settings.topics.input, message.value, message.key)

    def start(self) -> tuple[Loop, MemoryTransport]:
        """Another daemon of the group."""
        transport = MemoryTransport(self.settings, self.broker)
        loop = Loop(self.settings, transport, {"pump": self._scorer}, Metrics(), Health(), clock=lambda: 0.0)
        return loop, transport

    @property
    def left(self) -> int:
        """Records that are not committed."""
        topic = self.settings.topics.input
        committed = self.broker.group(self.settings.kafka.group, topic).committed
        return sum(self.broker.log(topic, number).end - committed.get(number, 0) for number in (0, 1))

    def run(self, loops: Sequence[Loop]) -> None:
        """Turns of all until everything is committed."""
        for _ in range(200):
            for loop in loops:
                loop.tick()
            if not self.left:
                return
        raise AssertionError(f"{self.left} records are left after 200 turns")

    def alerts(self) -> dict[str, Alert]:
        """What lies in the alerts topic, by id."""
        logs = [self.broker.log(self.settings.topics.alerts, number) for number in (0, 1)]
        return by_id(Alert.model_validate_json(record.value or b"") for log in logs for record in log.records)


@pytest.fixture(scope="module")
def expected(store: Store) -> dict[str, Alert]:
    """What one daemon says that nothing happens to."""
    plant = Plant(store, "at_least_once")
    plant.run([plant.start()[0]])
    assert len(plant.alerts()) >= 2 * len(ASSETS)
    return plant.alerts()


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_members_that_come_and_go_lose_and_double_nothing(
    store: Store, expected: dict[str, Alert], delivery: str
) -> None:
    """A second one joins, the first is thrown out and comes back, the second leaves: the alerts are the same."""
    plant = Plant(store, delivery)
    first, transport = plant.start()
    for _ in range(4):
        first.tick()
    second, other = plant.start()
    for _ in range(4):
        first.tick()
        second.tick()
    assert first.health.partitions == second.health.partitions == 1
    plant.broker.group(plant.settings.kafka.group, plant.settings.topics.input).evict(transport.member)
    for _ in range(2):
        second.tick()
        first.tick()
    other.close(1.0)
    plant.run([first])
    assert plant.alerts() == expected


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_broker_that_goes_away_costs_nothing(store: Store, expected: dict[str, Alert], delivery: str) -> None:
    """Unconfirmed alerts are dropped, state is restored, and the records since the commit say the same again."""
    plant = Plant(store, delivery)
    loop, transport = plant.start()
    for _ in range(6):
        loop.tick()
    flush = transport.flush

    def fails(timeout_s: float) -> None:
        plant.broker.away = True
        flush(timeout_s)

    transport.flush = fails  # type: ignore[method-assign]
    loop.tick()
    assert loop.interrupted is not None
    transport.flush = flush  # type: ignore[method-assign]
    plant.broker.away = False
    plant.run([loop])
    assert plant.alerts() == expected


def test_a_run_can_be_repeated_to_the_byte(store: Store) -> None:
    """Two runs of the same turns leave the same records in every topic, in the same order."""

    def topics(plant: Plant) -> list[list[tuple[bytes | None, bytes | None]]]:
        names = [getattr(plant.settings.topics, stream.value) for stream in Stream]
        logs = [plant.broker.log(name, n) for name in names for n in range(plant.broker.partitions(name))]
        return [[(record.key, record.value) for record in log.records] for log in logs]

    plants = [Plant(store, "at_least_once") for _ in range(2)]
    for plant in plants:
        plant.run([plant.start()[0], plant.start()[0]])
    assert topics(plants[0]) == topics(plants[1])


def test_the_topics_must_be_there(store: Store) -> None:
    """As with a real broker: the missing one is named with the command that makes it."""
    settings = Settings(kafka=Kafka(bootstrap_servers=f"empty-{next(_numbers)}"), store=store.url)
    opening = partial(memory.open_transport, settings.model_copy(update={"transport": "memory"}))
    with pytest.raises(BrokerError, match=r"no topic sensors.*topics --create"):
        opening()


def shown(loop: Loop) -> tuple[float, float]:
    """(records behind, newest event time) as /metrics shows them after another turn."""
    loop._report._log_at = 0.0
    loop.tick()
    lag = sum(sample.value for sample in next(iter(loop.metrics.lag.collect())).samples)
    return lag, next(iter(loop.metrics.newest.collect())).samples[0].value


def test_lag_and_the_newest_event_time_are_known_before_a_record_comes(store: Store) -> None:
    """A restart while the feed is dead: what was restored says how far the feed had come."""
    plant = Plant(store, "at_least_once")
    loop, transport = plant.start()
    loop.tick()
    behind, _ = shown(loop)
    assert 0 < behind < 240
    plant.run([loop])
    assert shown(loop)[0] == 0
    transport.close(1.0)
    again, _ = plant.start()
    again.tick()
    assert shown(again) == shown(loop)
