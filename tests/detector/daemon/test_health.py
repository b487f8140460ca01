"""Health and metrics: three read-only paths that say the truth."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from detector.daemon.health import STALLED_AFTER_S, Health, HttpServer
from detector.daemon.metrics import Metrics
from detector.daemon.systemd import Notifier
from detector.errors import ConfigError
from schemas.config import Http


@pytest.fixture
def served() -> Iterator[tuple[HttpServer, Health]]:
    health = Health()
    server = HttpServer(Http(port=0), health, Metrics().registry)
    yield server, health
    server.close()


def ask(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str]:
    request = Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_ready_needs_a_model_and_partitions(served: tuple[HttpServer, Health]) -> None:
    """Not ready at first, ready with both, and not any more while stopping."""
    server, health = served
    assert ask(server, "/readyz")[0] == 503
    health.models["pumps"], health.partitions = "v1", 2
    status, body = ask(server, "/readyz")
    assert json.loads(body)["reasons"] == []
    assert (status, json.loads(body)["models"]) == (200, {"pumps": "v1"})
    health.stopping = True
    assert ask(server, "/readyz")[0] == 503


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("interrupted", "a delivery failed", "interrupted: a delivery failed"),
        ("restoring", True, "state is being restored"),
        ("advanced", 0.0, "the loop does not move"),
        ("stopping", True, "stopping"),
        ("partitions", 0, "no partition is assigned"),
        ("models", {}, "no model is loaded"),
    ],
)
def test_what_is_in_the_way_is_said(served: tuple[HttpServer, Health], field: str, value: object, reason: str) -> None:
    """503, and the reason in the body."""
    server, health = served
    health.models["pumps"], health.partitions = "v1", 2
    setattr(health, field, value if field != "advanced" else time.monotonic() - STALLED_AFTER_S - 1)
    status, body = ask(server, "/readyz")
    assert (status, json.loads(body)["reasons"]) == (503, [reason])


def test_healthy_means_that_the_loop_advances(served: tuple[HttpServer, Health]) -> None:
    """A loop that has not turned for a minute is not alive."""
    server, health = served
    assert ask(server, "/healthz")[0] == 200
    health.advanced = time.monotonic() - STALLED_AFTER_S - 1
    assert ask(server, "/healthz")[0] == 503


def test_metrics_are_prometheus_text(served: tuple[HttpServer, Health]) -> None:
    """The daemon's own metrics, and no other process's."""
    status, body = ask(served[0], "/metrics")
    assert status == 200
    assert "# TYPE watchkeeper_records_total counter" in body
    names = {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("watchkeeper_") for name in names)


@pytest.mark.parametrize(("method", "status"), [("POST", 501), ("PUT", 501), ("DELETE", 501), ("HEAD", 200)])
def test_nothing_can_be_changed(served: tuple[HttpServer, Health], method: str, status: int) -> None:
    """Only GET and HEAD are answered."""
    assert ask(served[0], "/healthz", method)[0] == status
    assert ask(served[0], "/admin")[0] == 404


def test_a_taken_port_is_one_clear_line(served: tuple[HttpServer, Health]) -> None:
    """The remedy names the keys."""
    with pytest.raises(ConfigError, match=r"http\.port"):
        HttpServer(Http(port=served[0].port), Health(), Metrics().registry)


def test_systemd_is_told(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY and the watchdog arrive at $NOTIFY_SOCKET; without one nothing happens."""
    path = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        notifier = Notifier()
        notifier.send("READY=1")
        notifier.alive()
        assert [channel.recv(99), channel.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
    monkeypatch.delenv("NOTIFY_SOCKET")
    Notifier().send("READY=1")
