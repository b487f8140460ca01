"""Every configuration that a page shows is one that the program takes."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.base import Contract
from schemas.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```yaml\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
SHOWN = {
    f"{page.relative_to(ROOT)}-{number}": textwrap.dedent(text)
    for page in PAGES
    for number, text in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1)
}


def _old_keys(kind: type[Contract] = Contract) -> set[str]:
    return {*kind.renamed}.union(*map(_old_keys, kind.__subclasses__()))


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*value}.union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("text", SHOWN.values(), ids=SHOWN)
def test_a_configuration_that_is_shown_is_taken(text: str) -> None:
    """Whole or in part: a key that is misspelt, or has another name today, is found here and not by a reader."""
    shown = yaml.safe_load(text)
    Settings.model_validate(shown, strict=False)
    assert _keys(shown) & _old_keys() == set()


def test_there_are_some() -> None:
    """The README has one, and the pages have the others; and there are old keys to be found."""
    assert len(SHOWN) > 8
    assert "parts" in _old_keys()
    assert "README.md-1" in SHOWN
