"""The guides name only commands, keys, files and exit codes that exist."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from detector import errors
from detector.cli import COMMANDS as GROUP
from detector.commands import register
from schemas.documents.configuration import settings_table

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
TEXT = "\n".join(guide.read_text(encoding="utf-8") for guide in GUIDES)
EXIT_CODES = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
TRAINER_COMMANDS = {point.name for point in entry_points(group=GROUP)}
KEYS = set(re.findall(r"^\| `([\w.]+)` \|", settings_table(), flags=re.MULTILINE))
SECTIONS = {key.split(".")[0] for key in KEYS} - {"training", "tuning"}  # their keys hold names of one's own


def _commands() -> dict[str, set[str]]:
    """Every command of the daemon -> the long options it takes; the trainer's by name only."""
    app = typer.Typer()
    register(app)
    root = get_command(app)
    found: dict[str, set[str]] = {name: set() for name in TRAINER_COMMANDS}
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found[name] = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        found |= {f"{name} {each}": {o for p in sub.params for o in p.opts} for each, sub in inner.items()}
    return found


COMMANDS = _commands()


@pytest.mark.parametrize("line", sorted(set(re.findall(r"watchkeeper ([a-z]+(?: [a-z]+)?[^`\n]*)`", TEXT))))
def test_a_command_in_the_guide_exists_with_its_options(line: str) -> None:
    """What stands between backticks can be typed."""
    words = line.split()
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    assert name in COMMANDS, line
    if name not in TRAINER_COMMANDS:
        assert set(re.findall(r"--[a-z-]+", line)) <= COMMANDS[name], line


def test_the_exit_codes_are_those_of_the_program() -> None:
    """Each kind of fault has its row."""
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", EXIT_CODES, flags=re.MULTILINE)}
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert listed == {0} | {kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}


def test_the_keys_in_the_guide_exist() -> None:
    """A dotted name of one of the sections is a key of the configuration."""
    named = {name for name in re.findall(r"`(\w+\.\w+)`", TEXT) if name.split(".")[0] in SECTIONS}
    assert "limits.drain_s" in named
    assert named <= KEYS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?<!file:)\b(deploy/[\w./-]*\w)", TEXT))))
def test_named_files_exist(name: str) -> None:
    """A path of the deployment files leads somewhere."""
    assert (ROOT / name).exists()
