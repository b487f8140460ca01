"""Structured logs on standard error: lines for a person on a terminal, JSON elsewhere. Never a payload or secret."""

import logging
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from detector.errors import one_line
from schemas.config import Logging


class _StandardError:
    """Standard error, past every buffer. A log that nobody can write is no reason to stop watching."""

    def write(self, text: str) -> None:
        """One line in one call, or nothing."""
        with suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Nothing waits."""


def greet(settings: Logging, line: str) -> None:
    """A first line for a person on standard error; a log of JSON begins with its own."""
    if for_people(settings):
        _StandardError().write(f"{line}\n")


def for_people(settings: Logging) -> bool:
    """Whether the log is lines for a person; otherwise it is JSON."""
    return settings.form == "console" or (settings.form == "auto" and sys.stderr.isatty())


def _printable(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Shows what is not printable as `?`: a name out of a record steers no terminal."""
    return {key: one_line(value) if isinstance(value, str) else value for key, value in line.items()}


def configure_logs(settings: Logging) -> None:
    """Sets up structlog, and the clients' own logging at warning level and above."""
    renderers: list[structlog.typing.Processor] = (
        [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if for_people(settings)
        else [structlog.processors.JSONRenderer()]  # which escapes what is not ASCII
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=False,
    )
    # The broker client repeats itself while a broker is away; our own lines report what matters.
    logging.basicConfig(level=logging.ERROR, stream=_StandardError(), format="%(message)s", force=True)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
