"""`watchkeeper alerts` shows what a person asked for, once, and is fit for a pipe."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from detector.commands.alerts import alerts, line
from schemas.alert import Alert, Severity
from tests.support.invoke import Ran, invoke
from tests.support.kafka_client import Cluster, Message

GOLDEN = Path(__file__).parents[2] / "golden" / "v1" / "alert.json"
START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def make(incident: str = "i1", sequence: int = 0, *, minutes: int = 0, **data: Any) -> Alert:
    """An alert that differs from the golden one in what is named."""
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    state = data.setdefault("state", "opened")
    document |= {
        "id": f"{incident}.{sequence}",
        "type": f"watchkeeper.alert.{state}",
        "time": (START + timedelta(minutes=minutes)).isoformat(),
        "subject": data.get("asset", "pump-1"),
    }
    document["data"] |= {"incident": incident, "sequence": sequence, **data}
    return Alert.model_validate(document)


ALERTS = [
    make("i1", 0, minutes=0, asset="pump-1", severity="warning"),
    make("i2", 0, minutes=1, asset="pump-2", severity="major"),
    make("q1", 0, minutes=2, asset="pump-1", severity="warning", kind="quality", condition="stuck"),
    make("i1", 1, minutes=3, asset="pump-1", severity="critical", state="updated"),
    make("f1", 0, minutes=4, asset="fan-1", severity="major"),
    make("i1", 2, minutes=5, asset="pump-1", severity="critical", state="closed"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The embedded transport, with its files in the test's own folder."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(f"transport: files\nfiles: {{directory: {tmp_path}}}\n")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The alerts file, with six alerts of four incidents."""
    path = tmp_path / "watchkeeper.alerts.jsonl"
    path.write_text("".join(f"{alert.model_dump_json()}\n" for alert in ALERTS))
    return path


def _ids(config: Path, *arguments: str) -> list[str]:
    ran = invoke(alerts, *arguments, "--json", "--config", config)
    assert ran.code == 0
    return [json.loads(each)["id"] for each in ran.lines]


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((), ["i1.0", "i2.0", "q1.0", "i1.1", "f1.0", "i1.2"]),
        (("--asset", "pump-*"), ["i1.0", "i2.0", "q1.0", "i1.1", "i1.2"]),
        (("--asset", "fan-?", "--asset", "pump-2"), ["i2.0", "f1.0"]),
        (("--asset", "pump"), []),
        (("--severity", "major"), ["i2.0", "i1.1", "f1.0", "i1.2"]),
        (("--severity", "critical"), ["i1.1", "i1.2"]),
        (("--state", "opened"), ["i1.0", "i2.0", "q1.0", "f1.0"]),
        (("--state", "updated", "--state", "closed"), ["i1.1", "i1.2"]),
        (("--kind", "quality"), ["q1.0"]),
        (("--kind", "process", "--state", "opened", "--asset", "pump-1"), ["i1.0"]),
        (("--since", "2026-03-01T08:03"), ["i1.1", "f1.0", "i1.2"]),
        (("--since", "2026-03-01T09:03+01:00"), ["i1.1", "f1.0", "i1.2"]),
        (("--since", "now"), []),
        (("--since", "2m"), []),
    ],
)
def test_only_what_is_asked_for_is_shown(config: Path, arguments: tuple[str, ...], ids: list[str]) -> None:
    """Filters on asset, severity (at least), state, kind and event time; together they all must agree."""
    assert _ids(config, *arguments) == ids


def test_a_duplicate_is_shown_once(config: Path, file: Path) -> None:
    """Delivery is at least once: the same id a second time is the same alert."""
    file.write_text(file.read_text() * 2)
    assert _ids(config) == [alert.id for alert in ALERTS]


def test_a_line_tells_a_person_what_when_where_and_how_far() -> None:
    """Event time, asset, state, severity, message, and each sensor observed against expected with its unit."""
    alert = Alert.model_validate_json(GOLDEN.read_bytes())
    assert line(alert, lambda text, _severity: text) == (
        "2026-03-01 08:12:30Z  pump-1  CLOSED  major     pump-1: vibration reads 7.5 mm/s where 2.25 mm/s is expected "
        "(after 12m 30s) | vibration 7.5 mm/s (expected 2.25 mm/s, +75%); flow missing"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (59, "59s"), (60, "1m"), (3661, "1h 1m"), (90061, "1d 1h"), (86401, "1d 1s")]
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, text: str) -> None:
    """As people say it, and short enough for a line."""
    assert f"(after {text})" in line(make(state="closed", duration_s=seconds), lambda shown, _severity: shown)


def test_colour_goes_with_severity_and_only_to_a_terminal(config: Path, file: Path) -> None:
    """In a pipe there is not one escape sequence; on a terminal the severity is coloured."""
    assert "\x1b" not in invoke(alerts, "--config", config).out
    assert "<critical>" in line(make(severity="critical"), lambda text, severity: f"<{severity}>{text}")
    assert {Severity.WARNING, Severity.MAJOR, Severity.CRITICAL} == set(Severity)


def test_names_from_the_feed_cannot_steer_the_terminal() -> None:
    """Escape sequences and line breaks in an asset, a message or a sensor's name come out as question marks."""
    evil = "a\x1b[2J\r\nb\x07"
    sensor = {"sensor": evil, "unit": "", "observed": 1.0, "expected": None, "contribution": 1.0}
    shown = line(make(asset=evil, message=evil, sensors=[sensor]), lambda text, _severity: text)
    assert shown.isprintable()
    assert shown.count("a?[2J??b?") == 3


def test_what_is_no_alert_is_named_and_passed_over(config: Path, file: Path) -> None:
    """A broken line is said on standard error without its content, and those after it are shown."""
    newer = json.loads(ALERTS[0].model_dump_json())
    newer["data"]["version"] = 2
    file.write_text(f"secret-word\n{json.dumps(newer)}\n{ALERTS[0].model_dump_json()}\n")
    ran = invoke(alerts, "--json", "--config", config)
    assert [json.loads(each)["id"] for each in ran.lines] == ["i1.0"]
    assert "message 1 is not an alert" in ran.err
    assert "message 2 is not an alert (data.version: Value error, version 2 is newer" in ran.err
    assert "secret-word" not in ran.err


def test_times_that_no_other_can_be_compared_with_stop_no_listing(config: Path, file: Path) -> None:
    """A strange producer's time without a zone is UTC; one outside of the calendar makes its message no alert."""
    document = json.loads(ALERTS[0].model_dump_json())
    naive = {**document, "id": "naive", "time": "2026-03-01T08:12:30"}
    lost = {**document, "id": "lost", "time": "0001-01-01T00:00:00+14:00", "no\nkey": 1}
    file.write_text(f"{json.dumps(naive)}\n{json.dumps(lost)}\n")
    ran = invoke(alerts, "--json", "--since", "2026-03-01T08:00", "--config", config)
    assert [json.loads(each)["id"] for each in ran.lines] == ["naive"]
    assert ran.err.count("\n") == 1


def test_nothing_to_show_is_said_on_standard_error(config: Path, file: Path) -> None:
    """Standard output stays empty for a pipe."""
    ran = invoke(alerts, "--asset", "nobody", "--config", config)
    assert (ran.code, ran.out) == (0, "")
    assert "no alarm of that kind" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--since", "yesterday"), 1, "--since 'yesterday' is not a time"),
        (("--severity", "awful"), 2, "awful"),
        ((), 3, "no alarm was raised yet, or the daemon never ran"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(
    config: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """A time that is none, a severity that is none, and alerts that nobody wrote yet."""
    ran = invoke(alerts, *arguments, "--config", config)
    assert ran.code == code
    assert says in ran.err


def test_standard_output_cannot_be_read_back(config: Path) -> None:
    """Where the alerts go to '-', there is nothing to follow."""
    config.write_text(config.read_text() + "topics: {alerts: '-'}\n")
    assert invoke(alerts, "--config", config).code == 2


class Following:
    """`watchkeeper alerts --follow --json` as a process of its own."""

    def __init__(self, config: Path) -> None:
        program = "import typer; from detector.commands.alerts import alerts; typer.run(alerts)"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "--follow", "--json", "--config", str(config)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    def next_id(self) -> str:
        """The id of the next alert; waits for it."""
        assert self.process.stdout is not None
        return str(json.loads(self.process.stdout.readline())["id"])


@pytest.fixture
def following(config: Path) -> Iterator[Following]:
    """Started before the file exists."""
    running = Following(config)
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.timeout(60)
def test_following_waits_for_the_file_and_for_whole_lines(following: Following, tmp_path: Path) -> None:
    """It may start before the daemon; half a line is not shown; a file begun anew is read from its start."""
    path = tmp_path / "watchkeeper.alerts.jsonl"
    first, second, third = (make(f"i{n}").model_dump_json() for n in range(3))
    path.write_text(f"{first}\n{second[:100]}")
    assert following.next_id() == "i0.0"
    time.sleep(0.5)
    with path.open("a") as file:
        file.write(f"{second[100:]}\n")
    assert following.next_id() == "i1.0"
    path.write_text(f"{third}\n")
    assert following.next_id() == "i2.0"


def _on_kafka(tmp_path: Path, bootstrap: str, topic: str, *arguments: str) -> Ran:
    config = tmp_path / "kafka.yaml"
    config.write_text(f"kafka: {{bootstrap_servers: '{bootstrap}'}}\ntopics: {{alerts: {topic}}}\n")
    return invoke(alerts, *arguments, "--config", config)


def _groups(cluster: Cluster) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    try:
        return {group["group_id"] for group in admin.list_groups()}
    finally:
        admin.close()


def test_a_topic_is_read_whole_and_no_group_is_made(cluster: Cluster, tmp_path: Path) -> None:
    """From all partitions, from the beginning to the end as it is now, without joining a group."""
    topic = cluster.create(cluster.unique("alerts"), partitions=3)
    before = _groups(cluster)
    messages = [Message(a.model_dump_json().encode(), partition=n % 3) for n, a in enumerate(ALERTS)]
    cluster.produce(topic, [*messages, Message(None, key=b"tombstone", partition=0)])
    for _ in range(2):
        ran = _on_kafka(tmp_path, cluster.bootstrap, topic, "--json")
        assert {json.loads(each)["id"] for each in ran.lines} == {alert.id for alert in ALERTS}
    assert _groups(cluster) == before


def test_an_empty_topic_ends_at_once(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing is shown, and nothing is waited for."""
    topic = cluster.create(cluster.unique("alerts"))
    assert _on_kafka(tmp_path, cluster.bootstrap, topic).out == ""


def test_a_topic_that_is_not_there_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """The line names the topic, and is not followed by one that was made by asking."""
    ran = _on_kafka(tmp_path, cluster.bootstrap, "nobody.made.this")
    assert ran.code == 5
    assert "the broker has no topic nobody.made.this" in ran.err


def test_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    """Within seconds, with its address."""
    ran = _on_kafka(tmp_path, "127.0.0.1:1", "alerts")
    assert ran.code == 5
    assert "127.0.0.1:1" in ran.err
