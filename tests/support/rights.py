"""The rights that docs/how-to/secure.md gives to each component, read from its own commands: they agree."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.support.secured import Right

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "secure.md"
_KINDS = {"--topic": "topic", "--group": "group", "--transactional-id": "transactional-id"}


def documented() -> list[Right]:
    """Every `allow` line of the document's shell blocks, operation by operation, with the default names."""
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("allow ")]
    return [right for line in lines for right in _parsed(shlex.split(line, comments=True)[1:])]


def renamed(rights: list[Right], names: Mapping[str, str]) -> list[Right]:
    """The same rights for an installation with other names; every name must be among them."""
    return [replace(right, name=names[right.name]) for right in rights]


def _parsed(words: list[str]) -> list[Right]:
    principal, rest = words[0], words[1:]
    operations, kind, name, prefixed = [], "", "", False
    while rest:
        word, value, *rest = rest
        match word:
            case "--operation":
                operations.append(value)
            case "--resource-pattern-type":
                prefixed = value == "prefixed"
            case _:
                kind, name = _KINDS[word], value
    assert operations, words
    assert kind, words
    return [Right(principal, operation, kind, name, prefixed) for operation in operations]
