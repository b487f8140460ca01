"""`watchkeeper check`: one line each, the remedy beside every fault, and an exit code that tells the truth."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from detector.bundles.store import Store
from detector.commands.check import check
from detector.commands.topics import topics
from detector.errors import ConfigError
from tests.support.kafka_client import Cluster
from tests.support.secured import Right, Secured, secured_broker
from tests.support.tiny_bundle import tiny

CONFIG = """
store: "{store}"
watch: [{{model: pump}}]
kafka: {{bootstrap_servers: "{bootstrap}", group: "{word}"}}
topics: {{input: "{word}", alerts: "{word}.alerts", dead_letters: "{word}.dead",
         control: "{word}.control", state: "{word}.state"}}
"""


def run(*arguments: str | Path, command: object = check) -> Result:
    """Runs a command in this process; a WatchkeeperError passes through as it does to the command's main()."""
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model store with `pump` in use."""
    store = Store(str(tmp_path / "models"))
    tiny("1", model="pump").publish(store)
    store.promote("pump", "1")
    return tmp_path / "models"


@pytest.fixture
def config(cluster: Cluster, store: Path, tmp_path: Path) -> Path:
    """A configuration that is right in everything, its topics made."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(CONFIG.format(store=store, bootstrap=cluster.bootstrap, word=cluster.unique("plant")))
    assert run("--config", path, "--create", command=topics).exit_code == 0
    return path


def test_a_sound_installation_passes_and_names_the_next_step(config: Path) -> None:
    """Every line is OK, the exit code is 0, the last line says how to go on."""
    result = run("--config", config)
    *lines, ending = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line for line in lines if not line.startswith("OK ")] == []
    assert ending == f"Nothing stands in the way. Next: watchkeeper run --config {config}"


def test_json_gives_the_same_findings_for_machines(config: Path) -> None:
    """One object a result, with status, subject, message and remedy."""
    found = json.loads(run("--config", config, "--json").stdout)
    assert {entry["status"] for entry in found} == {"OK"}
    assert {"configuration", "model pump", "broker"} <= {entry["subject"] for entry in found}
    assert set(found[0]) == {"status", "subject", "message", "remedy"}


def test_a_tampered_bundle_fails_with_the_file_and_the_remedy(config: Path, store: Path) -> None:
    """One byte more in the graph: the hash tells, and the line says how to get back."""
    graph = store / "pump" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\n")
    result = run("--config", config)
    assert result.exit_code == 1
    assert "FAIL  model pump: bundle pump 1 is refused: model.onnx has another SHA-256" in result.stdout
    assert "roll back with 'watchkeeper models rollback'" in result.stdout


def test_a_model_that_was_never_trained_fails_with_the_command_that_trains_it(config: Path) -> None:
    """The remedy is a command."""
    config.write_text(config.read_text().replace("model: pump", "model: fan"))
    result = run("--config", config)
    assert result.exit_code == 1
    assert "FAIL  model fan: no version of fan is in use" in result.stdout
    assert "watchkeeper train --model fan" in result.stdout


def test_a_missing_topic_fails_with_the_command_that_makes_it(config: Path) -> None:
    """The input topic's name is wrong: that line fails, the others stay OK."""
    text = config.read_text()
    config.write_text(text.replace("input: ", "input: not-"))
    result = run("--config", config)
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert result.exit_code == 1
    assert len(failed) == 1
    assert "the input topic does not exist" in failed[0]
    assert "watchkeeper topics --create" in failed[0]


def test_a_state_topic_of_another_width_fails(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """State must lie in the partition of the same number as its records."""
    word = cluster.unique("plant")
    cluster.create(word, partitions=4)
    cluster.create(f"{word}.state", partitions=3, configs={"cleanup.policy": "compact"})
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(CONFIG.format(store=store, bootstrap=cluster.bootstrap, word=word))
    result = run("--config", path)
    assert result.exit_code == 1
    assert f"FAIL  topic {word}.state: it has 3 partitions, the input {word} has 4" in result.stdout


def test_dead_letters_that_could_not_hold_the_largest_record_are_a_warning(
    cluster: Cluster, config: Path, store: Path
) -> None:
    """A warning does not make the command fail."""
    letters = cluster.create(cluster.unique("letters"))
    text = config.read_text()
    dead = next(word for word in text.split('"') if word.endswith(".dead"))
    config.write_text(text.replace(dead, letters))
    result = run("--config", config)
    assert result.exit_code == 0
    assert f"WARN  topic {letters}: its max.message.bytes is 1048588" in result.stdout


def test_two_roles_on_one_topic_fail(config: Path) -> None:
    """Alerts in the input topic would come back as records."""
    text = config.read_text()
    word = next(word for word in text.split('"') if word.endswith(".alerts"))
    config.write_text(text.replace(word, word.removesuffix(".alerts")))
    result = run("--config", config)
    assert result.exit_code == 1
    assert "FAIL  topics: topics.input and topics.alerts are both" in result.stdout


def test_a_rule_that_hides_another_is_a_warning(config: Path, store: Path) -> None:
    """A rule behind '*' is never reached, which nobody means."""
    text = config.read_text()
    config.write_text(text.replace("[{model: pump}]", "[{model: pump}, {model: pump, assets: ['fan-*']}]"))
    result = run("--config", config)
    assert result.exit_code == 0
    assert "WARN  watch: rule 1 (pump) takes every asset" in result.stdout


def test_an_absent_broker_fails_and_the_models_are_checked_all_the_same(store: Path, tmp_path: Path) -> None:
    """One fault does not hide the next."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(CONFIG.format(store=store, bootstrap="127.0.0.1:9", word="plant"))
    result = run("--config", path, "--wait-s", "1")
    assert result.exit_code == 1
    assert "OK    model pump: version 1" in result.stdout
    assert "FAIL  broker: no broker answers at 127.0.0.1:9 within 1 s -> start it, or correct" in result.stdout


def test_the_embedded_transport_asks_for_its_file(store: Path, tmp_path: Path) -> None:
    """With files, the feed's file takes the broker's place."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(
        f'{{transport: files, store: "{store}", watch: [{{model: pump}}], files: {{directory: "{tmp_path}"}}}}'
    )
    missing = run("--config", path)
    assert missing.exit_code == 1
    assert "sensors.jsonl does not exist" in missing.stdout
    (tmp_path / "sensors.jsonl").touch()
    assert run("--config", path).exit_code == 0


def test_an_unknown_key_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """The configuration's own faults end the command with exit code 2 in main()."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text("kafak: {}\n")
    with pytest.raises(ConfigError, match="did you mean kafka"):
        run("--config", path)


@pytest.fixture(scope="module")
def secured(kafka_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker that knows the user `daemon` and gives it no rights yet."""
    with secured_broker(tmp_path_factory.mktemp("authority")) as running:
        running.add_user("daemon", "right")
        yield running


@pytest.fixture
def login(secured: Secured, store: Path, tmp_path: Path) -> Path:
    """A configuration with a login, whose topics an administrator made."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(CONFIG.format(store=store, bootstrap=secured.broker.bootstrap, word="plant"))
    assert run("--config", path, "--create", command=topics).exit_code == 0
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    document = yaml.safe_load(path.read_text())
    document["kafka"] = secured.login("daemon", secret, group="plant")
    path.write_text(json.dumps(document))
    return path


def test_a_wrong_password_is_told_apart_from_an_absent_broker(login: Path, tmp_path: Path) -> None:
    """The broker listens and refuses: the remedy is the login, and the password is not in the line."""
    (tmp_path / "secret").write_text("wrong-guess")
    result = run("--config", login, "--wait-s", "2")
    assert result.exit_code == 1
    assert "does not accept the login of daemon by SCRAM-SHA-512 -> check kafka.sasl_username" in result.stdout
    assert "wrong-guess" not in result.stdout


def test_each_missing_right_is_named_until_it_is_granted(login: Path, secured: Secured) -> None:
    """DESCRIBE alone shows the topics; READ and WRITE are asked for one by one; with all of them it passes."""
    blind = run("--config", login)
    assert "or this login may not DESCRIBE it" in blind.stdout
    assert "FAIL  group plant" in blind.stdout
    names = ("plant", "plant.alerts", "plant.dead", "plant.control", "plant.state")
    secured.grant(Right("daemon", "Describe", "topic", name) for name in names)
    seen = run("--config", login)
    assert "FAIL  topic plant: daemon may not READ the input topic" in seen.stdout
    grant = "grant it to kafka.sasl_username: kafka-acls --add --operation Write --topic plant.alerts"
    assert grant in seen.stdout
    secured.grant(Right("daemon", operation, "topic", name) for name in names for operation in ("Read", "Write"))
    secured.grant([Right("daemon", "Read", "group", "plant")])
    assert run("--config", login).exit_code == 0
