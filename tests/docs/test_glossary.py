"""The glossary can be relied on: sorted, each term once, each with a file that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if line.startswith("- ")]
ENTRY = re.compile(r"- \*\*(?P<term>[^*]+)\*\*: (?P<meaning>.+\.) \(`(?P<file>[\w./-]+)`\)")
ENTRIES = [entry for line in LINES if (entry := ENTRY.fullmatch(line))]
# What the configuration, the messages and the alarms are written in; other words may come and go with the code.
KEPT = (
    "asset", "sensor", "window", "stride", "slot", "incident", "on-delay", "off-delay", "hysteresis", "champion",
    "candidate (of a model)", "gate", "drift", "dead letter", "bucket", "bundle", "golden", "store", "replay",
    "residual", "fold", "held out",
)  # fmt: skip


def test_every_line_is_a_term_its_meaning_and_its_file() -> None:
    """No entry lacks a part."""
    assert len(ENTRIES) > 80
    assert [line for line in LINES if not ENTRY.fullmatch(line)] == []


def test_the_terms_are_sorted_and_stand_once() -> None:
    """In the order of the alphabet, upper and lower case alike, under their letters."""
    terms = [entry["term"].casefold() for entry in ENTRIES]
    assert terms == sorted(terms)
    assert len(terms) == len(set(terms))
    letters = re.findall(r"^## (\w)$", TEXT, flags=re.MULTILINE)
    assert letters == sorted({term[0].upper() for term in terms})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_the_file_of_a_term_exists(entry: re.Match[str]) -> None:
    """The term lives where the glossary says."""
    assert (ROOT / entry["file"]).is_file(), entry["file"]


def test_the_words_that_are_kept_are_explained() -> None:
    """None of them is missing."""
    assert set(KEPT) <= {entry["term"] for entry in ENTRIES}
