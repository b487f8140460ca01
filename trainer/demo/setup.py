"""The demo's folder and its configuration file."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from schemas.config import Topics
from trainer.simulate.plant import Simulation, latest_start
from trainer.simulate.scenario import Chapter, Scenario, chapters
from trainer.simulate.sensors import sensor_settings

MODEL = "pumps"
ASSETS = 5
SEED = 7
ON_DELAY_S = 600.0  # a start of a pump is no alarm
# Almost three times the longest lag of the plant (the motor's warmth): what comes within it is the same incident.
OFF_DELAY_S = 7200.0
SILENT_AFTER_S = 1800.0
PERSIST_BLOCKS = 7
COOLDOWN_S = 3 * 86400.0
HISTORY_SHARE = 0.14  # of the story: what a new model is trained on
# The pumps answer within a minute, so one row tells as much as ten; what is slow are two temperatures, which the
# latent code carries. 8,000 of 100,000 windows hold every operating point, and are learned in seconds.
TRAINING: dict[str, Any] = {
    "window": 1,
    "latent": 7,
    "hidden": [48],
    "epochs": 60,
    "learning_rate": 0.006,
    "max_windows": 8000,
    "folds": 2,
    "validation_share": 0.1,
    "score": "mahalanobis",  # what `auto` would choose takes a minute longer
    # A margin, since a filled cell (a stuck sensor is masked) makes the others a little less sure.
    "threshold": {"percentile": 99.9, "margin": 1.3},
}


@dataclass(frozen=True, slots=True)
class DemoSetup:
    """Where a demo runs and what it simulates."""

    directory: Path
    simulation: Simulation
    bootstrap: str | None  # None: JSON-lines files instead of Kafka
    name: str = "demo"  # of the consumer group, and the first part of the topics' names

    @property
    def config(self) -> Path:
        """The configuration file of all commands."""
        return self.directory / "watchkeeper.yaml"

    @property
    def feed(self) -> Path:
        """Where the topics are files."""
        return self.directory / "feed"

    @property
    def truth(self) -> Path:
        """What was injected."""
        return self.directory / "truth.json"

    @property
    def history(self) -> Path:
        """What the first model is trained on."""
        return self.directory / "history.parquet"

    @property
    def page(self) -> Path:
        """The report that the story ends with."""
        return self.directory / "report.html"

    def chapter(self, name: str) -> Chapter:
        """A chapter's days."""
        return chapters(self.simulation.days)[name]


def prepare(directory: Path, days: float, bootstrap: str | None) -> DemoSetup:
    """Makes the folder anew (only what a demo wrote there) and writes the configuration."""
    now = datetime.now(UTC)
    simulation = Simulation(scenario=Scenario.STORY, assets=ASSETS, days=days, seed=SEED, start=latest_start(days, now))
    # A broker may hold other topics, and those of an earlier demo: none of them is touched.
    setup = DemoSetup(directory, simulation, bootstrap, f"watchkeeper-demo-{now:%Y%m%d-%H%M%S}")
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("feed", "models", "logs"):
        shutil.rmtree(directory / name, ignore_errors=True)
        (directory / name).mkdir()
    setup.config.write_text(_HEAD + yaml.safe_dump(configuration(setup), sort_keys=False), encoding="utf-8")
    return setup


_HEAD = "# Written by the demo; `watchkeeper run --config` takes it as it is.\n"


def configuration(setup: DemoSetup) -> dict[str, Any]:
    """The settings: the plant's sensors, and delays that fit minutes and hours instead of seconds."""
    transport: dict[str, Any] = {
        "transport": "files",
        "files": {"directory": str(setup.feed), "follow": True},
    }
    if setup.bootstrap is not None:
        streams = {name: f"{setup.name}.{name.replace('_', '-')}" for name in Topics.model_fields}
        kafka = {"bootstrap_servers": setup.bootstrap, "group": setup.name}
        transport = {"transport": "kafka", "kafka": kafka, "topics": streams}
    sensors = {name: known.model_dump(exclude_defaults=True) for name, known in sensor_settings().items()}
    return {
        "version": 1,
        **transport,
        "store": str(setup.directory / "models"),
        "watch": [{"model": MODEL, "assets": ["pump-*"]}],
        "alarms": {
            "on_delay_s": ON_DELAY_S,
            "off_delay_s": OFF_DELAY_S,
            "silent_after_s": SILENT_AFTER_S,
            # Partitions of a topic are read one after the other: there the feed's newest time is no clock.
            "silence_clock": "feed" if setup.bootstrap is None else "wall",
            "update_every_s": 30 * 86400.0,
        },
        "scores": {"emit": "all"},
        # Two days: a new season has to be seen by day and by night before it can be learned.
        "drift": {"persist_blocks": PERSIST_BLOCKS, "cooldown_s": COOLDOWN_S},
        # Not so far back that the new season were a small part of what is learned.
        "worker": {"history_s": HISTORY_SHARE * setup.simulation.days * 86400.0},
        "http": {"port": 0},
        "training": {MODEL: {"period_s": setup.simulation.period_s, "sensors": sensors, **TRAINING}},
    }
