"""The configuration reference has every key once, with its default, and the keys are those that the reader takes."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from detector.config import load_settings
from schemas.config import Settings
from schemas.documents.configuration import settings_table
from tests.support.old_keys import with_new_keys

ROWS = re.findall(r"^\| `([^`]+)` \| (.+?) \|", settings_table(), flags=re.MULTILINE)
GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
MAPPINGS = {
    "training": "training.NAME",
    "training.NAME.sensors": "training.NAME.sensors.NAME",
    "training.NAME.components": "training.NAME.components[]",
    "tuning": "tuning.NAME",
    "watch": "watch[]",
}


def _leaves(value: Any, path: str) -> set[str]:
    """Dotted keys of a document in the table's spelling."""
    if path in MAPPINGS:
        inner = value.values() if isinstance(value, dict) else value
        return set().union(*(_leaves(each, MAPPINGS[path]) for each in inner))
    if isinstance(value, dict) and path != "feed.values":
        return set().union(*(_leaves(each, f"{path}.{key}" if path else key) for key, each in value.items()))
    return {path}


def test_every_key_is_there_once() -> None:
    """The golden configuration has all keys, and so has the table, under today's names alone."""
    keys = [key for key, _ in ROWS]
    assert len(keys) == len(set(keys))
    golden = [with_new_keys(json.loads(path.read_text(encoding="utf-8"))) for path in GOLDEN.glob("settings*.json")]
    assert set(keys) == set().union(*(_leaves(document, "") for document in golden))


def test_the_defaults_in_the_table_are_the_defaults(tmp_path: Path) -> None:
    """A file written from the table's own defaults is the default configuration."""
    document: dict[str, Any] = {}
    for key, default in ROWS:
        if "[]" in key or "NAME" in key or not default.startswith("`"):
            continue
        *sections, leaf = key.split(".")
        place = document
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = json.loads(default.strip("`"))
    assert document["kafka"]["group"] == "watchkeeper"
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_settings(path, {}) == Settings()


def test_secrets_and_required_keys_are_marked() -> None:
    """The one key without a default says so, and the password is called a secret."""
    assert dict(ROWS)["watch[].model"] == "required"
    assert "| `kafka.sasl_password` | null | restart | a secret;" in settings_table()
