"""Toxiproxy between the daemon and the broker: built once by Go into `.kafka`, driven over its HTTP interface.

https://github.com/Shopify/toxiproxy
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.broker import free_port
from deploy.local.jars import LIBS
from detector.errors import WatchkeeperError

VERSION = "v2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"
PROGRAM = LIBS.parent / f"toxiproxy-{VERSION}"
UP, DOWN = "upstream", "downstream"  # to the broker, from the broker
_NAME = "broker"


class ProxyMissingError(WatchkeeperError):
    """Neither toxiproxy nor a Go to build it with is on this machine; `problem` is a reason fit for a skipped test."""


def fetch_proxy(program: Path = PROGRAM) -> Path:
    """The program, built the first time (about a minute); raises ProxyMissingError."""
    if program.is_file():
        return program
    go = shutil.which("go")
    if go is None:
        raise ProxyMissingError("there is no go on the PATH to build toxiproxy with", "install Go 1.23 or newer")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        environment = os.environ | {"GOBIN": scratch}
        done = subprocess.run([go, "install", MODULE], capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["go said nothing"])[-1][:200]
            raise ProxyMissingError("go could not build toxiproxy", reason)
        (Path(scratch) / "server").replace(program)
    return program


class Proxy:
    """A running toxiproxy with one way through it: 127.0.0.1:listen -> 127.0.0.1:upstream."""

    def __init__(self, listen: int, upstream: int) -> None:
        self._api = free_port()
        command = [str(fetch_proxy()), "-host", "127.0.0.1", "-port", str(self._api)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        way = {"name": _NAME, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}", "enabled": True}
        deadline = time.monotonic() + 20
        while not self._ask("/proxies", way):
            if time.monotonic() > deadline:
                self.close()
                raise ProxyMissingError("toxiproxy does not answer", f"start {PROGRAM} by hand and see")
            time.sleep(0.05)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def toxic(self, kind: str, *streams: str, **attributes: int) -> Iterator[None]:
        """A fault on the way, on all connections there are and those that come, while the context lasts."""
        for stream in streams:
            body = {"name": f"{kind}_{stream}", "type": kind, "stream": stream, "attributes": attributes}
            assert self._ask(f"/proxies/{_NAME}/toxics", body), kind
        try:
            yield
        finally:
            self.heal()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Every connection closed and none accepted."""
        assert self._ask(f"/proxies/{_NAME}", {"enabled": False})
        try:
            yield
        finally:
            self.heal()

    def heal(self) -> None:
        """Takes all faults away."""
        assert self._ask("/reset", {})

    def _ask(self, path: str, body: Mapping[str, object]) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30):
                return True
        except (urllib.error.URLError, OSError):
            return False
