"""The generated pages of docs/reference: the name of each file, and what writes it."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from docs.generate.commands import commands_page
from docs.generate.metrics import metrics_page
from schemas.documents import asyncapi
from schemas.documents.configuration import settings_table
from schemas.documents.messages import alerts_page, messages_page

FOLDER = Path(__file__).parents[1] / "reference"


def _asyncapi() -> str:
    return json.dumps(asyncapi.build(version("watchkeeper")), indent=2, ensure_ascii=False) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "alerts.md": alerts_page,
    "asyncapi.json": _asyncapi,
    "commands.md": commands_page,
    "configuration.md": settings_table,
    "messages.md": messages_page,
    "metrics.md": metrics_page,
}
