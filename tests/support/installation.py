"""A whole installation for one test: store, topics, configuration, and the daemon as a process."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.local.broker import free_port
from deploy.local.process import DaemonProcess
from detector.bundles.loading import load_manifest
from detector.bundles.store import Store
from detector.config import load_settings
from detector.transports.kafka.admin import Admin
from detector.transports.kafka.topics import plan
from schemas.alert import Alert
from tests.support.kafka_client import Cluster, Message, Read, eventually

START_S = 1_772_323_200.0  # 2026-03-01, event time of the first row


@dataclass(frozen=True, slots=True)
class Installation:
    """Names and places; `document` is the configuration that was written."""

    folder: Path
    cluster: Cluster
    topic: str
    group: str
    port: int
    config: Path

    def daemon(self) -> DaemonProcess:
        """The daemon, not started yet. Every start appends to the same log."""
        return DaemonProcess(self.config, self.port, self.log)

    @property
    def log(self) -> Path:
        """What the daemon said."""
        return self.folder / "daemon.log"

    def ending(self) -> str:
        """The daemon's last line; a traceback anywhere fails."""
        text = self.log.read_text()
        assert "Traceback" not in text
        return text.strip().splitlines()[-1]

    def configure(self, **sections: Any) -> None:
        """Replaces whole sections of the configuration file."""
        document = yaml.safe_load(self.config.read_text()) | sections
        self.config.write_text(json.dumps(document))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another watchkeeper command with this configuration."""
        command = [sys.executable, "-m", "detector.cli", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def alerts(self) -> list[Alert]:
        """Everything on the alerts topic, asset by asset in order."""
        return [Alert.model_validate_json(read.value or b"") for read in self.read("alerts")]

    def read(self, role: str) -> list[Read]:
        """Everything on one of our topics."""
        return self.cluster.read_all(f"{self.group}.{role}", isolation="read_committed")

    def committed(self) -> int:
        """Sum of the group's committed offsets on the input."""
        return sum(self.cluster.committed(self.group, self.topic).values())

    def await_committed(self, records: int, within_s: float = 60.0) -> None:
        """Waits until the daemon has committed so many records."""
        eventually(lambda: self.committed() >= records, within_s, f"{records} committed records")


def install(
    cluster: Cluster,
    folder: Path,
    store: Path,
    partitions: int = 1,
    topic: str | None = None,
    group: str | None = None,
    **sections: Any,
) -> Installation:
    """Makes the topics and writes the configuration. sections: replace or extend those of the configuration.

    group: where several installations watch one topic; it names the consumer group and the topics written to.
    """
    topic = topic or cluster.unique("plant")
    group = group or topic
    folder.mkdir(parents=True, exist_ok=True)
    roles = ("alerts", "scores", "dead_letters", "control", "state")
    document: dict[str, Any] = {
        "store": str(store),
        "watch": [{"model": "pump"}],
        "kafka": {"bootstrap_servers": cluster.bootstrap, "group": group},
        "topics": {"input": topic} | {role: f"{group}.{role}" for role in roles},
        "http": {"port": free_port()},
        "limits": {"checkpoint_s": 0.5, "broker_wait_s": 30},
        "logging": {"form": "json"},
    }
    document |= sections
    config = folder / "watchkeeper.yaml"
    config.write_text(json.dumps(document))  # JSON is YAML
    settings = load_settings(config, {})
    with Admin(settings.kafka, wait_s=10) as admin:
        found = admin.describe(order.name for order in plan(settings, {}).values())
        orders = plan(settings, found, partitions).values()
        admin.create(order for order in orders if order.name not in found)
    return Installation(folder, cluster, topic, group, document["http"]["port"], config)


def record(asset: str, second: float, flow: float | None, temperature: float | None) -> Message:
    """A record of the tiny bundle's sensors, `second` seconds after START_S."""
    body = {"asset": asset, "timestamp": START_S + second, "flow": flow, "temperature": temperature}
    return Message(json.dumps(body).encode(), key=asset.encode())


def story(assets: Sequence[str], seconds: int, faults: Mapping[int, int]) -> list[Message]:
    """A record a second and asset; each fault (begin -> end, seconds) lifts the flow far above the threshold.

    Normal is the tiny bundle's centre with a small ripple, so that no sensor looks stuck.
    """
    messages = []
    for second in range(seconds):
        lifted = any(begin <= second < end for begin, end in faults.items())
        for number, asset in enumerate(assets):
            ripple = 0.1 * ((second * 7 + number) % 5)
            messages.append(record(asset, second, (22.0 if lifted else 10.0) + ripple, 50.0 - ripple))
    return messages


def announce(place: Installation, store: Path, version: str, digest: str | None = None, model: str = "pump") -> None:
    """Sends what a worker sends when it has published."""
    _, true_digest = load_manifest(Store(str(store)), model, version)
    body = {
        "type": "model_published",
        "version": 1,
        "id": f"announce-{version}",
        "model": model,
        "model_version": version,
        "manifest_sha256": digest or true_digest,
        "at": "2026-03-01T00:00:00Z",
        "answers": None,
    }
    place.cluster.produce(f"{place.group}.control", [Message(json.dumps(body).encode())])


def by_id(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """Alerts without the duplicates that at-least-once delivery allows; a duplicate must be equal in every field."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        assert found.setdefault(alert.id, alert) == alert, f"{alert.id} came twice with different contents"
    return found
