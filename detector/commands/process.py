"""What the commands that stay share: the logs, a first line for a person, a last one for whoever reads the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import typer

from detector.config import load_settings
from detector.daemon.logs import configure_logs, for_people
from detector.errors import WatchkeeperError
from schemas.config import Settings


@contextmanager
def logged(config: Path | None) -> Iterator[Settings]:
    """Loads the configuration and sets the logs up by it.

    Where the log is for programs, every line of it is JSON: warnings, and the error that the process ends with too.
    """
    warnings: list[str] = []
    settings = load_settings(config, warn=warnings.append)
    configure_logs(settings.logging)
    log = structlog.get_logger()
    for line in warnings:
        log.warning("configuration", reason=line)
    try:
        yield settings
    except WatchkeeperError as error:
        if for_people(settings.logging):
            raise
        log.error("ended", reason=error.problem, remedy=error.remedy, exit_code=error.exit_code)
        raise typer.Exit(error.exit_code) from None
