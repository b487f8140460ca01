"""`watchkeeper retrain` sends exactly one request, which names a model that is in use."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector.commands.retrain import retrain
from schemas.control import RetrainRequest, Trigger
from tests.support.invoke import invoke


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A plant of two models on the embedded transport."""
    path = tmp_path / "watchkeeper.yaml"
    path.write_text(
        f"transport: files\nfiles: {{directory: {tmp_path / 'feed'}}}\n"
        "watch: [{model: pumps, assets: [pump-*]}, {model: fans}]\n"
    )
    return path


def _sent(config: Path) -> list[RetrainRequest]:
    path = config.parent / "feed" / "watchkeeper.control.jsonl"
    return [RetrainRequest.model_validate_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_person_asks_and_is_told_what_happens_next(config: Path) -> None:
    """One request goes out, with the person's reason; the output names its id and the worker that is needed."""
    before = datetime.now(UTC)
    ran = invoke(retrain, "pumps", "--reason", "impeller replaced", "--config", config)
    assert ran.code == 0
    (request,) = _sent(config)
    assert (request.model, request.model_version, request.trigger) == ("pumps", None, Trigger.PERSON)
    assert request.reason == "impeller replaced"
    assert before <= request.at <= datetime.now(UTC)
    assert "asking for a new version of pumps" in ran.lines[0]
    assert request.id in ran.out
    assert ran.lines[-1].startswith("next: a worker must be running")
    assert str(config) in ran.lines[-1]


def test_json_prints_the_request_that_was_sent(config: Path) -> None:
    """For scripts: the message itself, on one line."""
    ran = invoke(retrain, "fans", "--json", "--config", config)
    assert _sent(config) == [RetrainRequest.model_validate_json(ran.out)]
    assert len(ran.lines) == 1
    assert json.loads(ran.out)["reason"] == "asked by a person"


def test_the_only_model_needs_no_name(config: Path) -> None:
    """Where one model is used, it is the one that is meant."""
    config.write_text(config.read_text().replace(", {model: fans}", ""))
    assert invoke(retrain, "--config", config).code == 0
    assert [request.model for request in _sent(config)] == ["pumps"]


@pytest.mark.parametrize("arguments", [(), ("pmups",), ("",)])
def test_without_a_known_model_nothing_is_sent(config: Path, arguments: tuple[str, ...]) -> None:
    """Two models and no name, or a name that no rule uses: the line lists the names."""
    ran = invoke(retrain, *arguments, "--config", config)
    assert ran.code == 2
    assert "name one of: pumps, fans" in ran.err
    assert _sent(config) == []


def test_what_could_not_be_sent_is_not_said_to_be(config: Path) -> None:
    """The control file lies where no file can be: no 'is sent', and the exit code says whose fault it is."""
    (config.parent / "feed").write_text("a file where the folder should be")
    ran = invoke(retrain, "pumps", "--config", config)
    assert ran.code == 2
    assert "is sent" not in ran.out
