"""What every fuzz target is, and what each of them promises of a line that a person reads."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

LONGEST_LINE = 2000  # signs of problem and remedy together


@dataclass(frozen=True, slots=True)
class Target:
    """One door through which strangers' bytes come in.

    one: takes a case, asserts the contract, and says whether the case was accepted; whatever it raises is a finding.
    mutate: a structural change of a case, or None where the case has no structure to change. tokens: byte strings
    that random bytes would not hit upon.
    """

    name: str
    promise: str
    one: Callable[[bytes], bool]
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, Random], bytes | None]
    tokens: tuple[bytes, ...]
    longest: int  # bytes of a case


def assert_plain(text: str) -> None:
    """One line that steers no terminal and fills no log, whatever the input was."""
    assert text.isprintable(), f"not one plain line: {text[:200]!r}"
    assert len(text) <= LONGEST_LINE, f"{len(text)} signs are no line"
