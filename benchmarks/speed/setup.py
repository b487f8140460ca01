"""What a measurement needs beside the broker: a trained model, topics of its own, a configuration."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.broker import free_port
from deploy.local.process import DaemonProcess
from detector.config import load_settings
from detector.transports.kafka.admin import Admin
from detector.transports.kafka.topics import plan

MODEL = "bench"


@dataclass(frozen=True, slots=True)
class BenchmarkSetup:
    """Where everything lies. `graph` and `threshold` are for the contestants that call onnxruntime themselves."""

    folder: Path
    bootstrap: str
    store: Path
    graph: Path
    threshold: float


def daemon(
    setup: BenchmarkSetup,
    topic: str,
    name: str,
    *,
    instance: str | None = None,
    checkout: Path | None = None,
    **sections: Any,
) -> DaemonProcess:
    """A daemon with a group and topics of its own, configured by default but for `sections`; not started yet.

    instance: its name in the group, which lets several share one. checkout: the source tree whose daemon it is.
    """
    port = free_port()
    document: dict[str, Any] = {
        "store": str(setup.store),
        "watch": [{"model": MODEL}],
        "kafka": {"bootstrap_servers": setup.bootstrap, "group": name, "instance": instance},
        "topics": {
            "input": topic,
            "alerts": alerts_topic(name),
            "scores": f"{name}.scores",
            "dead_letters": f"{name}.dead-letters",
            "control": f"{name}.control",
            "state": f"{name}.state",
        },
        "http": {"port": port},
    } | sections
    config = setup.folder / f"{name}-{instance}.yaml"
    config.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    settings = load_settings(config, {})
    with Admin(settings.kafka, wait_s=10) as admin:
        found = admin.describe(order.name for order in plan(settings, {}).values())
        admin.create(order for order in plan(settings, found).values() if order.name not in found)
    return DaemonProcess(config, port, config.with_suffix(".log"), checkout=checkout)


def alerts_topic(name: str) -> str:
    """Where the daemon of that name sends its alerts."""
    return f"{name}.alerts"


def unique(word: str) -> str:
    """A name for a group or topics that no earlier lap used."""
    return f"{word}-{time.monotonic_ns()}"
