"""Logs: what a record holds steers no terminal."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from detector.daemon.logs import configure_logs
from schemas.config import Logging

HOSTILE = "pump\x1b[2J\x1b[31m\r\u202eb\n2026 [info] stopped"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Other tests log as before."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_unprintable_signs_reach_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """They are shown as `?`, in the event as in a value; one event is one line."""
    configure_logs(Logging(form="console"))
    structlog.get_logger().info("alert " + HOSTILE, asset=HOSTILE, message=f"flow is high at {HOSTILE}", count=3)
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert not set(shown.rstrip("\n")) & set("\x1b\r\u202e")
    assert shown.count("pump?[2J?[31m") == 3
    assert "count=3" in shown


def test_a_log_of_json_keeps_the_name_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    """A program reads it as it was; the bytes are plain ASCII."""
    configure_logs(Logging(form="json"))
    structlog.get_logger().info("alert", asset=HOSTILE)
    line = capfd.readouterr().err
    assert json.loads(line)["asset"] == HOSTILE
    assert line.rstrip("\n").isprintable()
