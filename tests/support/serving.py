"""`watchkeeper serve` as a process of its own, where the trainer's libraries are not installed; and a plain client."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from detector.bundles.store import Store
from tests.support.tiny_bundle import tiny
from tests.test_without_trainer import ABSENT, hiding

JSON = "application/json"


@dataclass(slots=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, path: str, body: Any = None, *, kind: str = JSON) -> tuple[int, dict[str, str], Any]:
        """Status, headers and the JSON of the answer. body: bytes as they are, else as JSON; None asks by GET."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                connection.request("POST", path, raw, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), json.loads(answer.read())
        finally:
            connection.close()


def configure(folder: Path, **serve: object) -> Path:
    """A store with the tiny bundle, with a decoder (in use) and without, and a configuration beside it."""
    store = Store(str(folder / "models"))
    if not store.models():
        tiny("old").publish(store)
        tiny("v1", decodes=True).publish(store)
        store.promote("pumps", "v1")
    config = folder / "watch.yaml"
    settings = {"store": store.url, "transport": "files", "watch": [{"model": "pumps"}], "serve": {"port": 0, **serve}}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


@contextmanager
def serving(config: Path, *arguments: str) -> Iterator[Server]:
    """A server until the block ends."""
    command = [sys.executable, "-c", hiding(ABSENT), "serve", "--config", str(config), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("{") and json.loads(line)["event"] == "serving":
                    yield Server(process, json.loads(line)["port"])
                    return
            raise AssertionError(f"it did not begin to serve, and ended with {process.wait(10)}")
        finally:
            process.terminate()
