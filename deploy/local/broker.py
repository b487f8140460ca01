"""A real Apache Kafka on this machine, for the demo, the tests and the benchmarks: one node, no container.

Needs a JDK 17 and Maven; the jars (45 MB) are fetched from Maven Central once, into `.kafka/libs` of the repository.

    with Broker() as broker:
        print(broker.bootstrap)

By hand, until Ctrl-C or beside a command: python -m deploy.local
"""

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.local.jars import fetch_libs, require_java
from detector.errors import BrokerError

HERE = Path(__file__).resolve().parent
START_S = 90.0  # a cold JVM on a busy two-core machine has taken 30
STOP_S = 30.0
# Below Linux's ephemeral range: a client that reconnects to a dead port inside it can connect to itself and hold it.
PORTS = range(20_000, 32_000)


class Broker:
    """One Kafka node on a free port of 127.0.0.1. Starting blocks for about five seconds.

    directory: where the storage lies; None takes a temporary one and removes it at the end.
    `properties` are the lines of server.properties; they may be changed until the first start.
    """

    def __init__(self, directory: Path | None = None, heap_mb: int = 768) -> None:
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="watchkeeper-kafka-"))
        self.port, self._controller_port = free_port(), free_port()
        self.properties = _server_properties(self.port, self._controller_port, self.directory / "data")
        self._heap_mb = heap_mb
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the broker printed: warnings and errors."""
        return self.directory / "broker.log"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Formats the storage where that was not done, starts the node and returns when it answers."""
        java, libs = require_java(), fetch_libs()
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "server.properties"
        if not config.exists():
            self._format(java, libs, config)
        command = [*_die_with_parent(), java, f"-Xmx{self._heap_mb}m", *_classpath(libs), "kafka.Kafka", str(config)]
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C in a terminal must reach the program that drains, not the broker it drains to.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )
        self._await_answer()

    def stop(self) -> None:
        """Stops the node in an orderly way; the storage stays."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a crash would; the storage stays as it was."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it answers nobody and closes no connection, as a machine without memory or disk does."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after freeze()."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Starts the node again on the same port and storage, stopping it first where it runs."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stops the node and removes temporary storage."""
        if self._temporary:
            self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            self.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the broker does not run", "start it first")
        return self._process

    def _format(self, java: str, libs: Path, config: Path) -> None:
        draft = config.with_suffix(".draft")
        draft.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()), encoding="utf-8")
        # Kafka takes any UUID in base64, and its command line an option for one that begins with '-'.
        cluster = "k" + urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()[1:]
        tool = [java, *_classpath(libs), "kafka.tools.StorageTool"]
        command = [*tool, "format", "--standalone", "-t", cluster, "-c", str(draft)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.directory)
        if done.returncode:
            raise BrokerError("Kafka's storage cannot be formatted", _last_line(done.stderr or done.stdout))
        draft.rename(config)

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                self._process = None
                raise BrokerError("Kafka stopped while starting", f"see {self.log}: {_last_line(_text(self.log))}")
            if _answers(self.bootstrap):
                return
            time.sleep(0.2)
        self.kill()
        raise BrokerError(f"Kafka did not answer within {START_S:.0f} s", f"see {self.log}")


def _server_properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
    """One node that is broker and controller, with groups and transactions on a single replica."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After SIGKILL a node waits for its own old session to end; the default is 9 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.min.session.timeout.ms": "1000",
        "auto.create.topics.enable": "false",
    }


def _classpath(libs: Path) -> list[str]:
    return [f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}", "-cp", f"{libs}/*"]


def _die_with_parent() -> list[str]:
    """Where util-linux is there, a test run that is killed leaves no broker behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError("no free port was found", f"free one between {PORTS.start} and {PORTS.stop}")


def _answers(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000, request_timeout_ms=3000)
    except (OSError, KafkaError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it printed nothing"
