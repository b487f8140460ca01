"""The life of `watchkeeper serve`: listen, answer until a signal, finish what is in hand within a budget."""

import logging
import signal
import socket
from importlib.metadata import version

import structlog
import uvicorn

from detector.errors import ConfigError
from detector.serving.app import make_app
from detector.serving.served_bundle import ServedBundle
from schemas.config import Serve


def listen(settings: Serve) -> socket.socket:
    """The listening socket; taken before the bundle is loaded, so that a taken port is reported at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"serve cannot listen on {settings.host}:{settings.port} ({error.strerror})",
            "set serve.port to a free one (0 takes any)",
        ) from None


def run_server(served: ServedBundle, listening: socket.socket) -> None:
    """Blocks until SIGTERM or SIGINT; requests in hand get limits.drain_s to end."""
    log = structlog.get_logger()
    config = uvicorn.Config(
        make_app(served, version("watchkeeper")),
        loop="asyncio", http="h11", ws="none", lifespan="off",
        log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(served.settings.limits.drain_s)),
    )  # fmt: skip
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # our own lines report what matters
    # uvicorn raises a caught signal once more when it has ended: stopping as asked is not a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    host, port = listening.getsockname()[:2]
    manifest = served.scorer.manifest
    log.info("serving", model=manifest.model, version=served.version, host=host, port=port)
    uvicorn.Server(config).run(sockets=[listening])
    log.info("stopped")
