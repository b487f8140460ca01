"""The reference is written from the program: it is current, and nothing of the program is missing in it."""

import pytest

from docs.generate import commands, metrics
from docs.generate.pages import FOLDER, PAGES
from schemas.config import Settings
from schemas.documents import configuration, messages


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    """What is committed is what the program says today."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: make reference"


def test_every_command_and_option_is_documented() -> None:
    """Each command has a help text, each of its arguments and options a line; the page has a section for it."""
    assert commands.undocumented() == []
    page = PAGES["commands.md"]()
    names = [context.command_path for context in commands.contexts()]
    assert {"watchkeeper run", "watchkeeper train", "watchkeeper models promote"} <= set(names)
    assert [name for name in names if f"\n## {name}\n" not in page] == []


def test_every_key_of_the_configuration_is_documented() -> None:
    """Each has a description, and none is hidden from the table."""
    assert configuration.undocumented() == []
    page = PAGES["configuration.md"]()
    assert [name for name in Settings.model_fields if f"| `{name}" not in page and f"\n## {name}\n" not in page] == []


def test_every_field_of_a_message_is_documented() -> None:
    """Alerts, scores, dead letters and control messages; the bits of row flags and the reasons too."""
    assert messages.undocumented() == []


def test_every_metric_is_documented() -> None:
    """Each has a line of meaning, and stands in the table with all of its labels."""
    page = PAGES["metrics.md"]()
    for metric in metrics.metrics():
        family = next(iter(metric.describe()))
        assert family.documentation, family.name
        row = next(line for line in page.splitlines() if line.startswith(f"| `{family.name}"))
        assert all(label in row for label in metric._labelnames), row


def test_what_is_not_documented_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without a description does not pass: it is named."""
    monkeypatch.setattr(Settings.model_fields["store"], "description", None)
    assert configuration.undocumented() == ["store"]
