"""The same records through the embedded transport: what the Kafka runs are compared with."""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import yaml

from schemas.alert import Alert
from tests.support.installation import Installation
from tests.support.kafka_client import Message


def embedded_alerts(installation: Installation, messages: Iterable[Message], **sections: Any) -> list[Alert]:
    """Runs the daemon over a file of these records, named as the topic is, with the installation's configuration."""
    folder = installation.folder / "embedded"
    folder.mkdir(exist_ok=True)
    with (folder / f"{installation.topic}.jsonl").open("wb") as lines:
        lines.writelines((message.value or b"") + b"\n" for message in messages)
    document = yaml.safe_load(installation.config.read_text()) | sections
    document |= {"transport": "files", "files": {"directory": str(folder)}}
    config = folder / "watchkeeper.yaml"
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "detector.cli", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    written = folder / f"{document['topics']['alerts']}.jsonl"
    return [Alert.model_validate_json(line) for line in written.read_bytes().splitlines()] if written.exists() else []
