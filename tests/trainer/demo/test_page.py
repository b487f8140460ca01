"""The demo's page and lines: they stand alone and tell a stranger what happened."""

import base64
import re
from pathlib import Path

import pytest

from detector.config import load_settings
from schemas.alert import AlertState, Condition
from schemas.config import Files, Settings
from tests.trainer.demo.made_up import START, as_promised, make_alerts, make_observations, make_setup
from trainer.demo.judge import judge
from trainer.demo.live import LiveView, alert_line, day
from trainer.demo.page import write_page
from trainer.demo.setup import DemoSetup, configuration, prepare
from trainer.demo.story import FinishedStory


@pytest.fixture
def setup(tmp_path: Path) -> DemoSetup:
    """A whole story that was made up."""
    return make_setup(tmp_path)


def _page(setup: DemoSetup, lost: int = 0) -> str:
    observed = make_observations(setup, as_promised(setup)[lost:])
    settings = Settings(transport="files", files=Files(directory=setup.directory))
    story = FinishedStory(observed, LiveView(settings, START, 4321, show_alerts=True), 4321, 99.0)
    return write_page(setup, story, judge(observed)).decode("utf-8")


def test_the_page_stands_alone(setup: DemoSetup) -> None:
    """It is opened from a disk, often without a network."""
    page = _page(setup)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 1 + 3 + 2
    for source in sources:
        head, _, data = source.partition(",")
        assert head == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)
    assert "<script" not in page
    assert "://" not in re.sub(r'src="[^"]*"', "", page)


def test_the_page_tells_every_fault_and_every_figure(setup: DemoSetup) -> None:
    """Found when, after how long, by which sensors; by which process."""
    page = _page(setup)
    for words in ("4 of 4", "bearing wears out", "pump-4", "30 min", "speed, vibration", "process 4321", "0.00"):
        assert words in page, words
    assert "Not as promised" not in page


def test_the_page_says_what_did_not_happen(setup: DemoSetup) -> None:
    """A demo that failed must not look like one that did not."""
    page = _page(setup, lost=1)
    assert "Not as promised" in page
    assert "the wear of pump-2 raised no alarm" in page
    assert "3 of 4" in page


def test_alarm_lines_are_readable(setup: DemoSetup) -> None:
    """Asset, state, severity, and what was seen against what was expected."""
    opened, closed, *_ = make_alerts(as_promised(setup))
    line = alert_line(opened.data)
    assert line.split()[:3] == ["pump-2", "OPENED", "warning"]
    assert "vibration 7.123 bar, expected 3.2" in line
    assert closed.data.state is AlertState.CLOSED
    assert "anomaly is over" in alert_line(closed.data)
    silent = next(a for a in make_alerts(as_promised(setup)) if a.data.condition is Condition.SILENT)
    assert alert_line(silent.data).endswith("sends nothing")


def test_days_are_counted_from_one(setup: DemoSetup) -> None:
    """The first day of the history is day 1."""
    assert day(START, START) == "day  1 00:00"


@pytest.mark.parametrize("bootstrap", [None, "127.0.0.1:9092"])
def test_the_configuration_is_one_the_daemon_takes(tmp_path: Path, bootstrap: str | None) -> None:
    """Written by the demo, read by the real loader."""
    setup = prepare(tmp_path / "out", 11.0, bootstrap)
    settings = load_settings(setup.config, {})
    assert settings.transport == ("files" if bootstrap is None else "kafka")
    assert settings.training["pumps"].sensors is not None
    assert settings.training["pumps"].sensors["flow"].unit == "m3/h"
    assert configuration(setup)["scores"] == {"emit": "all"}
    if bootstrap is not None:
        # A broker of somebody's may hold topics of the default names.
        assert all(name.startswith(f"{setup.name}.") for name in settings.topics.model_dump().values())


def test_a_second_demo_begins_anew_and_leaves_other_files_alone(tmp_path: Path) -> None:
    """The folder is the user's."""
    setup = prepare(tmp_path, 11.0, None)
    (setup.feed / "sensors.jsonl").write_text("old\n")
    (tmp_path / "mine.txt").write_text("mine\n")
    prepare(tmp_path, 11.0, None)
    assert not (setup.feed / "sensors.jsonl").exists()
    assert (tmp_path / "mine.txt").read_text() == "mine\n"
