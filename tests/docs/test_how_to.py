"""The how-to pages name only keys of the configuration that exist, and every exit code has its row."""

import re
from pathlib import Path

from detector import errors
from schemas.documents.configuration import settings_table

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
KEYS = set(re.findall(r"^\| `([\w.]+)` \|", settings_table(), flags=re.MULTILINE))
SECTIONS = {key.split(".")[0] for key in KEYS} - {"training", "tuning"}  # their keys hold names of one's own


def test_the_keys_in_the_pages_exist() -> None:
    """A dotted name of one of the sections is a key of the configuration."""
    named = {name for name in re.findall(r"`(\w+\.\w+)`", TEXT) if name.split(".")[0] in SECTIONS}
    assert "limits.drain_s" in named
    assert named <= KEYS


def test_the_exit_codes_are_those_of_the_program() -> None:
    """Each kind of fault has its row."""
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", page, flags=re.MULTILINE)}
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert listed == {0} | {kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}
