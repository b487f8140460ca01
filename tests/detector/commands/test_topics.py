"""`watchkeeper topics` against a real broker: what it shows, what it creates, what it refuses to touch."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from detector.commands.topics import topics
from detector.errors import BrokerError, ConfigError
from tests.support.kafka_client import Cluster

CONFIG = """
kafka: {{bootstrap_servers: "{bootstrap}"}}
topics: {{input: "{word}", alerts: "{word}.alerts", scores: "{word}.scores", dead_letters: "{word}.dead",
         control: "{word}.control", state: "{word}.state"}}
"""


@pytest.fixture
def word(cluster: Cluster) -> str:
    """The input topic's name, and the beginning of the others'."""
    return cluster.unique("plant")


@pytest.fixture
def config(cluster: Cluster, word: str, tmp_path: Path) -> Path:
    """A configuration whose topics no other test uses."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(CONFIG.format(bootstrap=cluster.bootstrap, word=word))
    return path


def run(*arguments: str | Path) -> Result:
    """Runs the command in this process; a WatchkeeperError passes through as it does to the command's main()."""
    app = typer.Typer()
    app.command()(topics)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def settings_of(cluster: Cluster, topic: str) -> dict[str, str]:
    """All settings of a topic as the broker states them."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    try:
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    finally:
        admin.close()
    return {key: entry["value"] for key, entry in answer["topic"][topic].items()}


def described(config: Path, *more: str) -> dict[str, dict[str, Any]]:
    """The command's JSON answer by role."""
    return {row["role"]: row for row in json.loads(run("--config", config, "--json", *more).stdout)}


def test_a_dry_run_shows_and_creates_nothing(config: Path) -> None:
    """Looking is free: after it every topic is still missing."""
    shown = run("--config", config, "--dry-run")
    assert shown.exit_code == 0
    assert "5 missing. Next: watchkeeper topics --create" in shown.stdout
    assert not any(row["exists"] for row in described(config).values())


def test_create_makes_each_topic_with_the_settings_that_the_daemon_relies_on(
    config: Path, cluster: Cluster, word: str
) -> None:
    """State compacted and as wide as the input, control in one partition for a year, room for large dead letters."""
    made = described(config, "--create", "--partitions", "3")
    assert {role: row["partitions"] for role, row in made.items()} == {
        "input": 3,
        "alerts": 3,
        "dead_letters": 3,
        "control": 1,
        "state": 3,
    }
    assert all(row["created"] for row in made.values())
    state, control = settings_of(cluster, f"{word}.state"), settings_of(cluster, f"{word}.control")
    assert state["cleanup.policy"] == "compact"
    assert int(control["retention.ms"]) == 365 * 24 * 3600 * 1000
    letters, feed = settings_of(cluster, f"{word}.dead"), settings_of(cluster, word)
    assert int(letters["max.message.bytes"]) > int(feed["max.message.bytes"])


def test_creating_twice_changes_nothing_the_second_time(config: Path) -> None:
    """The second run finds everything and says so."""
    assert run("--config", config, "--create").exit_code == 0
    again = run("--config", config, "--create")
    assert again.exit_code == 0
    assert "All topics are there. Next: watchkeeper check" in again.stdout
    assert not any(row["created"] for row in described(config).values())


def test_new_topics_follow_an_input_that_is_there(config: Path, cluster: Cluster, word: str) -> None:
    """The input's partitions count, whatever --partitions says: state lies beside the records it stands for."""
    cluster.create(word, partitions=6)
    made = described(config, "--create", "--partitions", "2")
    assert not made["input"]["created"]
    assert made["state"]["partitions"] == made["alerts"]["partitions"] == 6


def test_a_state_topic_of_another_width_is_left_alone_and_named(config: Path, cluster: Cluster, word: str) -> None:
    """An existing topic is never changed; the line says what is wrong and the exit code is 1."""
    cluster.create(word, partitions=4)
    cluster.create(f"{word}.state", partitions=2)
    result = run("--config", config, "--create")
    assert result.exit_code == 1
    assert f"{word}.state: it has 2 partitions, the input {word} has 4 -> " in result.stdout
    assert "its cleanup.policy is delete" in result.stdout
    assert settings_of(cluster, f"{word}.state")["cleanup.policy"] == "delete"


def test_the_scores_topic_is_made_only_where_scores_are_emitted(config: Path) -> None:
    """No scores, no topic; scores, a topic."""
    assert "scores" not in described(config)
    config.write_text(config.read_text() + "\nscores: {emit: all}\n")
    assert "scores" in described(config)


def test_a_refusal_of_the_broker_is_one_line_in_its_own_words(config: Path) -> None:
    """More copies than brokers: the topic and the broker's reason, not the request it was part of."""
    with pytest.raises(BrokerError) as caught:
        run("--config", config, "--create", "--replication", "3")
    assert "replication factor of 3 cannot be reached" in caught.value.problem
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_absent_broker_is_named_within_the_wait(tmp_path: Path) -> None:
    """Nobody listens: one line with the address and the remedy."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text('kafka: {bootstrap_servers: "127.0.0.1:9"}\n')
    with pytest.raises(BrokerError, match=r"no broker answers at 127\.0\.0\.1:9 within 1 s"):
        run("--config", path, "--wait-s", "1")


def test_files_have_no_topics(tmp_path: Path) -> None:
    """The embedded transport is told apart instead of asking a broker that nobody configured."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text("transport: files\n")
    with pytest.raises(ConfigError, match="which has no topics"):
        run("--config", path)
