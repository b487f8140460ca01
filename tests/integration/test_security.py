"""TLS, SCRAM-SHA-512 and ACLs on a real broker: the documented rights suffice, and each that is missing is named."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.alert import AlertState
from schemas.config import Topics
from schemas.control import CONTROL, ModelRejected
from tests.support.authority import authority
from tests.support.installation import Installation, by_id, install, story
from tests.support.kafka_client import Cluster, Message, eventually
from tests.support.rights import documented, renamed
from tests.support.secured import Right, Secured, secured_broker

DAEMON, WORKER, ENGINEER, PLANT = "watchkeeper-daemon", "watchkeeper-worker", "engineer", "plant"
PASSWORD = "correct horse battery staple"
FAULT = {20: 40}


@pytest.fixture(scope="module")
def secured(kafka_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with the four logins of the document."""
    with secured_broker(tmp_path_factory.mktemp("authority")) as running:
        for user in (DAEMON, WORKER, ENGINEER, PLANT):
            running.add_user(user, PASSWORD)
        yield running


@dataclass(frozen=True, slots=True)
class Plant:
    """An installation on the secured broker: its configuration has the daemon's login."""

    secured: Secured
    place: Installation
    password: Path

    def names(self) -> dict[str, str]:
        """The document's names -> ours."""
        place, default = self.place, Topics()
        topics = {getattr(default, role): f"{place.group}.{role}" for role in Topics.model_fields}
        groups = {"watchkeeper": place.group, "watchkeeper-worker": f"{place.group}-worker"}
        return topics | {default.input: place.topic} | groups | {"watchkeeper-": f"{place.group}-"}

    def rights(self, user: str) -> list[Right]:
        """What the document gives a login."""
        return renamed([right for right in documented() if right.principal == user], self.names())

    def login(self, user: str, **others: object) -> None:
        """Writes the configuration for another login."""
        section = {"group": self.place.group} | self.secured.login(user, self.password, **others)
        self.place.configure(kafka=section)

    def feed(self, seconds: int = 50) -> int:
        """Has the plant's own login send a story with a fault; gives its records."""
        script = (
            "import sys, json; from kafka import KafkaProducer; from detector.config import load_settings;"
            "from detector.transports.kafka.connection import client_options; from pathlib import Path;"
            "s = load_settings(Path(sys.argv[1])); p = KafkaProducer(**client_options(s.kafka));"
            "f = [p.send(s.topics.input, line.strip().encode(), b'pump-1') for line in sys.stdin];"
            "[each.get(timeout=30) for each in f]; p.close()"
        )
        before = self.place.config.read_text()
        self.login(PLANT)
        lines = b"\n".join(message.value or b"" for message in story(["pump-1"], seconds, FAULT))
        command = [sys.executable, "-c", script, str(self.place.config)]
        subprocess.run(command, input=lines, check=True, timeout=100)
        self.place.config.write_text(before)
        return seconds


@pytest.fixture
def plant(secured: Secured, store: Path, tmp_path: Path) -> Plant:
    """Topics of its own, made by the administrator; every login has its documented rights."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    place = install(Cluster(secured.broker.bootstrap), tmp_path / "k", store, scores={"emit": "all"})
    made = Plant(secured, place, password)
    for user in (DAEMON, WORKER, ENGINEER, PLANT):
        secured.grant(made.rights(user))
    made.login(DAEMON)
    return made


def _starts_and_ends(place: Installation, code: int, within_s: float = 90.0) -> str:
    """Runs the daemon until it ends by itself; its last line, without a traceback or the password before it."""
    with place.daemon() as daemon:
        assert daemon.wait(within_s) == code
    assert PASSWORD not in place.log.read_text()
    last = place.ending()
    ended = json.loads(last)
    assert (ended["event"], ended["exit_code"]) == ("ended", code)
    return f"{ended['reason']}: {ended['remedy']}"


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_the_documented_rights_are_enough(plant: Plant, delivery: str) -> None:
    """The daemon scores, alarms, dead-letters, keeps state, commits and checks itself with exactly its rights."""
    place = plant.place
    place.configure(delivery=delivery)
    if delivery == "at_least_once":
        plant.secured.revoke(next(right for right in plant.rights(DAEMON) if right.kind == "transactional-id"))
    records = plant.feed()
    place.cluster.produce(place.topic, [Message(b"{")])
    with place.daemon() as daemon:
        place.await_committed(records + 1)
        assert daemon.stop() == 0
    states = [alert.data.state for alert in by_id(place.alerts()).values()]
    assert states[0] is AlertState.OPENED
    assert states[-1] is AlertState.CLOSED
    assert len(place.read("dead_letters")) == 1
    assert place.read("scores")
    checked = place.command("check")
    assert checked.returncode == 0, checked.stdout


def _daemons_own() -> list[Right]:
    return [right for right in documented() if right.principal == DAEMON]


@pytest.mark.parametrize("right", _daemons_own(), ids=lambda right: f"{right.operation} {right.kind} {right.name}")
def test_each_right_that_is_missing_is_named_at_the_start(plant: Plant, right: Right) -> None:
    """One right less, and the daemon ends with 5 and a line that says which, before it has read a record."""
    (ours,) = renamed([right], plant.names())
    place = plant.place
    place.configure(delivery="exactly_once" if right.kind == "transactional-id" else "at_least_once")
    plant.secured.revoke(ours)
    place.cluster.produce(place.topic, story(["pump-1"], 50, FAULT))
    last = _starts_and_ends(place, 5)
    given = "GROUP- --resource-pattern-type prefixed" if right.prefixed else ours.name
    assert f"may not {right.operation.upper()} the {right.kind}" in last
    assert right.prefixed or ours.name in last
    assert f"kafka-acls --add --operation {right.operation} --{right.kind} {given}" in last
    assert (place.committed(), place.alerts()) == (0, [])


def test_all_rights_that_are_missing_are_named_at_once(plant: Plant) -> None:
    """Nobody repairs one right a start."""
    lacking = [right for right in plant.rights(DAEMON) if right.kind != "transactional-id"][2:5]
    for right in lacking:
        plant.secured.revoke(right)
    last = _starts_and_ends(plant.place, 5)
    assert all(f"{right.operation.upper()} the {right.kind} {right.name}" in last for right in lacking)


@pytest.mark.parametrize(("operation", "role"), [("Read", "input"), ("Write", "alerts"), ("Write", "state")])
def test_a_right_that_is_taken_away_while_the_daemon_runs(plant: Plant, operation: str, role: str) -> None:
    """It ends with 5 and the right's name, and commits nothing that was not delivered: a restart makes it whole."""
    place = plant.place
    first = plant.feed(10)
    name = place.topic if role == "input" else f"{place.group}.{role}"
    with place.daemon() as daemon:
        place.await_committed(first)
        plant.secured.revoke(Right(DAEMON, operation, "topic", name))
        lines = story(["pump-1"], 60, FAULT)[10:]
        place.cluster.produce(place.topic, lines)
        assert daemon.wait(90) == 5
    assert f"may not {operation.upper()} the topic {name}" in place.ending()
    plant.secured.grant([Right(DAEMON, operation, "topic", name)])
    with place.daemon() as daemon:
        place.await_committed(60)
        assert daemon.stop() == 0
    states = [alert.data.state for alert in by_id(place.alerts()).values() if alert.data.state != "updated"]
    assert states == [AlertState.OPENED, AlertState.CLOSED]


def _short(plant: Plant) -> None:
    plant.place.configure(limits={"broker_wait_s": 3})


def test_a_wrong_password_is_told_and_not_repeated(plant: Plant) -> None:
    """The login's name, the mechanism and what to check; neither the wrong nor the right password."""
    _short(plant)
    plant.password.write_text("wrong-guess\n")
    last = _starts_and_ends(plant.place, 5)
    assert f"{plant.secured.address} does not accept the login of {DAEMON} by SCRAM-SHA-512" in last
    assert "kafka.sasl_username, its password" in last
    assert "wrong-guess" not in plant.place.log.read_text()


def test_an_expired_certificate_is_told(plant: Plant) -> None:
    """Nothing is sent to a broker whose certificate has ended, the login neither."""
    _short(plant)
    plant.login(DAEMON, bootstrap_servers=plant.secured.expired)
    assert f"the certificate of {plant.secured.expired} is refused: certificate has expired" in _starts_and_ends(
        plant.place, 5
    )


def test_an_unknown_authority_is_told(plant: Plant, tmp_path: Path) -> None:
    """A certificate that somebody else signed is nobody's."""
    _short(plant)
    plant.login(DAEMON, ssl_cafile=str(authority(tmp_path, "other").certificate))
    last = _starts_and_ends(plant.place, 5)
    assert f"the certificate of {plant.secured.address} is refused: unable to get local issuer certificate" in last
    assert "correct kafka.ssl_cafile" in last


def test_another_hosts_certificate_is_told(plant: Plant) -> None:
    """The name that was asked for must be in the certificate."""
    _short(plant)
    plant.login(DAEMON, bootstrap_servers=plant.secured.address.replace("127.0.0.1", "localhost"))
    last = _starts_and_ends(plant.place, 5)
    assert "is refused: Hostname mismatch" in last


def test_tls_with_a_broker_that_speaks_none_is_told(plant: Plant) -> None:
    """The remedy is the protocol, not the certificate."""
    _short(plant)
    plant.login(DAEMON, bootstrap_servers=plant.secured.broker.bootstrap)
    last = _starts_and_ends(plant.place, 5)
    assert f"{plant.secured.broker.bootstrap} listens, but TLS with it fails" in last
    assert "check kafka.security_protocol" in last


def test_the_commands_need_the_engineers_rights_only(plant: Plant) -> None:
    """Alerts and retrain with their own login; each names the right that it lacks, with exit code 5."""
    place = plant.place
    records = plant.feed()
    with place.daemon() as daemon:
        place.await_committed(records)
        assert daemon.stop() == 0
    plant.login(ENGINEER)
    shown = place.command("alerts", "--json")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, len(place.alerts()))
    assert place.command("retrain", "pump").returncode == 0
    for right, command in zip(plant.rights(ENGINEER), (["alerts"], ["retrain", "pump"]), strict=True):
        plant.secured.revoke(right)
        refused = place.command(*command)
        assert refused.returncode == 5
        assert f"may not {right.operation.upper()} the topic {right.name}" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_the_worker_answers_with_its_rights(plant: Plant) -> None:
    """It reads the feed and the alerts, answers on control and commits for its group; one right less is named.

    What it cannot read on control it passes over, and says where that lies.
    """
    place = plant.place
    plant.feed()
    place.cluster.produce(f"{place.group}.control", [Message(b'{"type": "shutdown"}')])
    plant.login(ENGINEER)
    assert place.command("retrain", "pump").returncode == 0
    plant.login(WORKER)
    log = place.folder / "worker.log"
    command = [sys.executable, "-m", "detector.cli", "worker", "--config", str(place.config)]
    with log.open("wb") as said:
        worker = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        eventually(lambda: any(isinstance(m, ModelRejected) for m in _control(place)), 150, "an answer")
        eventually(lambda: place.cluster.committed(f"{place.group}-worker", f"{place.group}.control"), 30, "a commit")
    finally:
        worker.kill()
        worker.wait()
    (answer,) = (message for message in _control(place) if isinstance(message, ModelRejected))
    assert "fewer than worker.min_rows" in answer.reason, "it read the feed and found it too short"
    words = log.read_text()
    assert f"{place.group}.control/0/0" in words
    assert "control message refused" in words
    assert "Traceback" not in words
    for right in plant.rights(WORKER):
        if right.kind == "group" or (right.operation, right.name) == ("Read", f"{place.group}.control"):
            plant.secured.revoke(right)
            ended = place.command("worker")
            assert ended.returncode == 5
            assert f"may not READ the {right.kind} {right.name}" in ended.stderr
            assert "Traceback" not in ended.stderr
            plant.secured.grant([right])


def _control(place: Installation) -> list[object]:
    return [CONTROL.validate_json(read.value or b"") for read in place.read("control") if read.offset > 0]
