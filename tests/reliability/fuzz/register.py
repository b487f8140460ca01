"""The targets by name, and what was found by them, kept for ever."""

from importlib import import_module
from pathlib import Path

from tests.reliability.fuzz.target import Target

# Slowest first: they run side by side, and none should be left over at the end.
NAMES = ("configuration", "checkpoint", "manifest", "process", "decode", "messages", "control")
FINDINGS = Path(__file__).parent / "findings"


def target(name: str) -> Target:
    """The target of a name. It is imported when it is asked for, so that the caller can instrument what it imports."""
    found: Target = import_module(f"tests.reliability.fuzz.{name}").TARGET
    return found


def findings(name: str) -> dict[str, bytes]:
    """Cases that broke a promise once, by their file's name."""
    return {path.name: path.read_bytes() for path in sorted((FINDINGS / name).glob("*"))}
