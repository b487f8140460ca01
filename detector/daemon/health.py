"""Health and metrics over HTTP: read only, three paths, one thread."""

import json
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from detector.errors import ConfigError
from schemas.config import Http, WorkerHttp

STALLED_AFTER_S = 60.0  # a tick that takes longer is no longer alive


@dataclass(slots=True)
class Health:
    """How the loop is doing; the loop writes it, HTTP reads it."""

    models: dict[str, str] = field(default_factory=dict)  # model -> version
    partitions: int = 0
    advanced: float = field(default_factory=time.monotonic)
    started: bool = False  # the first tick has begun; before it the start has waits of its own
    stopping: bool = False
    interrupted: str = ""  # what failed, until work has begun again
    restoring: bool = False  # not all of the partitions are being read yet
    blind: str = ""  # why nearly nothing of the feed is read or scored

    def begin(self) -> None:
        """The first tick begins."""
        self.started, self.advanced = True, time.monotonic()

    @property
    def alive(self) -> bool:
        """The loop advances."""
        return time.monotonic() - self.advanced < STALLED_AFTER_S

    @property
    def ready(self) -> bool:
        """Nothing is in the way."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why records are not being watched just now; empty where they are."""
        found = {
            "no model is loaded": not self.models,
            "no partition is assigned": self.partitions == 0,
            "state is being restored": self.restoring,
            f"interrupted: {self.interrupted}": bool(self.interrupted),
            "the loop does not move": not self.alive,
            f"nearly nothing is scored: {self.blind}": bool(self.blind),
            "stopping": self.stopping,
        }
        return [reason for reason, holds in found.items() if holds]


class HealthState(Protocol):
    """What the pages tell: a daemon's, or a worker's."""

    models: dict[str, str]
    partitions: int

    @property
    def alive(self) -> bool:
        """It advances."""
        ...

    @property
    def reasons(self) -> list[str]:
        """Why it does not do its work just now; empty where it does."""
        ...


class HttpServer:
    """Serves /metrics, /healthz and /readyz until closed."""

    def __init__(
        self, settings: Http | WorkerHttp, health: HealthState, registry: CollectorRegistry, section: str = "http"
    ) -> None:
        """section: of the configuration, for the error's remedy."""
        try:
            self._server = ThreadingHTTPServer((settings.host, settings.port), _handler(health, registry))
        except OSError as error:
            raise ConfigError(
                f"HTTP cannot listen on {settings.host}:{settings.port} ({error.strerror})",
                f"set {section}.port to a free one (0 takes any), or {section}.enabled to false",
            ) from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)


def _handler(health: HealthState, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    def metrics() -> tuple[int, str, bytes]:
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

    def healthz() -> tuple[int, str, bytes]:
        return _answer(health.alive, {"alive": health.alive})

    def readyz() -> tuple[int, str, bytes]:
        reasons = health.reasons
        facts = {"ready": not reasons, "reasons": reasons, "models": health.models, "partitions": health.partitions}
        return _answer(not reasons, facts)

    pages = {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}

    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD on the three paths."""

        server_version = "watchkeeper"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            page = pages.get(self.path.split("?", 1)[0])
            status, kind, body = page() if page else _answer(False, {"paths": sorted(pages)}, 404)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Probes are not worth a log line."""

    return Handler


def _answer(fine: bool, facts: dict[str, object], otherwise: int = 503) -> tuple[int, str, bytes]:
    return (200 if fine else otherwise), "application/json", (json.dumps(facts) + "\n").encode()
