"""`watchkeeper serve`: a bundle over HTTP."""

from importlib.util import find_spec
from typing import Annotated

import typer

from detector.commands.chosen import watched_model
from detector.commands.options import ConfigOption
from detector.commands.process import logged
from detector.daemon.logs import greet
from detector.errors import WatchkeeperError

_INSTALL = 'pip install "watchkeeper[serve]"'


def serve(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of the model; without it, the only one watched.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="The version; without one, the version in use now.")] = None,
    config: ConfigOption = None,
) -> None:
    """Answer questions to one bundle over HTTP: /encode, /decode, /reconstruct, /anomaly_score, /model, /health.

    Listens on serve.host:serve.port (localhost unless told otherwise), asks for no login, keeps nothing between
    requests and changes nothing. /openapi.json says what fits. It serves the version that was in use at its start:
    restart it to take up another. SIGTERM or Ctrl-C finishes the requests in hand and ends.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise WatchkeeperError("'watchkeeper serve' needs its extra", f"run: {_INSTALL}")
    from detector.serving.served_bundle import load_served_bundle
    from detector.serving.server import listen, run_server

    with logged(config) as settings, listen(settings.serve) as listening:
        served = load_served_bundle(settings, watched_model(settings, model), version)
        host, port = listening.getsockname()[:2]
        name = f"{served.scorer.manifest.model} {served.version}"
        greet(settings.logging, f"serving {name} on http://{host}:{port}; stop with Ctrl-C")
        run_server(served, listening)
