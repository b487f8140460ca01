"""SIGHUP: a valid configuration is taken up whole between two polls, or refused whole with the names of the keys."""

from pathlib import Path

import structlog

from detector.config import load_settings
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.errors import ConfigError
from schemas.config import Settings
from schemas.reload import fixed_changes


def reload(loop: Loop, path: Path | None, metrics: Metrics) -> None:
    """Reads the configuration again. A refusal is logged and counted, and the old configuration stays."""
    log = structlog.get_logger()
    try:
        settings = load_settings(path, warn=lambda line: log.warning("configuration", reason=line))
        demand_reloadable(loop.settings, settings)
    except ConfigError as error:
        metrics.reloads.labels("refused").inc()
        log.error("configuration refused, the old one stays", reason=error.problem, remedy=error.remedy)
        return
    loop.configure(settings)
    metrics.reloads.labels("taken").inc()
    log.info("configuration reloaded")


def demand_reloadable(old: Settings, new: Settings) -> None:
    """Raises ConfigError where a key differs that only a restart takes up."""
    fixed = list(fixed_changes(old, new))
    if fixed:
        raise ConfigError(
            f"a running daemon cannot change {', '.join(fixed)}", "restart it, or put the old values back"
        )
