"""What the program and its documents name exists: commands with their options, files, and errors."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from detector import errors
from docs.generate.commands import contexts

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "detector", "trainer", "deploy")
# A command that a person is told to type, up to what ends it: after "run:" or "next:", in quotes, or on a line of
# its own; "(" for "(watchkeeper worker)".
COMMAND = re.compile(
    r"""(?:[Rr]un:? |[Nn]ext: |: |\(|['`]|^\s*\$? ?)watchkeeper ([a-z][^'"`;,()|<>[\n]*)""", flags=re.MULTILINE
)
USAGE: Any = typer.BadParameter.__mro__[1]  # typer brings click's UsageError along under its own name
PROSE = re.compile(
    r"(?:watches|keeps|writes|takes|reads|learns|is|has|with|in|to|of|and|as|over|from)\b"
)  # not of these


def files(*patterns: str) -> list[Path]:
    """Tracked files by pattern."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def strings(path: Path) -> Iterator[str]:
    """The string constants of a module; what an f-string fills in is a word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            filled = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            yield re.sub(r"(?<=\w)\0", "", filled).replace("\0", "WORD")  # `check{option}`: the option may be left out


def texts() -> Iterator[tuple[str, str]]:
    """Everything that people read: where it stands, and the text."""
    for path in files(*(f"{room}/*.py" for room in ROOMS)):
        yield from ((str(path.relative_to(ROOT)), text) for text in strings(path))
    for path in files("*.md", "deploy/*.yaml", "deploy/*.service"):
        if path.name != "CHANGELOG.md":  # it tells of versions that had other commands
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def named_commands() -> set[tuple[str, str]]:
    """(file, command line) of every command that is named."""
    found = set()
    for where, text in texts():
        for match in COMMAND.finditer(re.sub(r"\{\{.*?\}\}", "WORD", text)):
            line = re.split(r" {2,}| #|\.(?: |$)", match[1])[0].rstrip(" .\\:")
            if not PROSE.match(line):
                found.add((where, line))
    return found


def fault(line: str, known: Mapping[str, Any]) -> str | None:
    """What the program would say of a command line, values left aside; None where it could be typed."""
    words = line.split()
    name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in known), None)
    if name is None:
        return f"there is no command {' '.join(words[:2])!r}"
    context = known[name]
    try:
        _, left, _ = context.command.make_parser(context).parse_args(words[len(name.split()) :])
    except USAGE as error:  # the others: an option whose value is left out, or in quotes
        return f"{name} has no {error.option_name}" if type(error).__name__ == "NoSuchOption" else None
    return f"{name} takes no {left[0]!r}" if left else None


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """Command -> its context, from the program; of a group the name alone."""
    found = {context.command_path.removeprefix("watchkeeper "): context for context in contexts()}
    groups = {name.split()[0]: context.parent for name, context in found.items() if " " in name}
    return found | groups


def test_every_command_that_is_named_exists(known: dict[str, Any]) -> None:
    """Remedies, help texts, alert rules and documents: whoever types what they say is not told of a wrong option."""
    named = named_commands()
    assert len(named) > 80
    faults = {(where, line): fault(line, known) for where, line in named}
    assert {key: said for key, said in faults.items() if said} == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("topics --create --config WORD", None),
        ("topics create", "topics takes no 'create'"),
        ("topics --make", "topics has no --make"),
        ("models promote WORD WORD", None),
        ("models promote WORD WORD WORD", "models promote takes no 'WORD'"),
        ("alerts -f --asset", None),
        ("topic --create", "there is no command 'topic --create'"),
    ],
)
def test_a_command_that_nobody_can_type_is_found(known: dict[str, Any], line: str, said: str | None) -> None:
    """The check itself: a command, an option and an argument too many."""
    assert fault(line, known) == said


def test_every_file_that_is_named_exists() -> None:
    """Paths and documents in docstrings, comments, documents and settings; names of one's own are in capitals."""
    path = re.compile(
        r"(?<![\w./-])(?:(?:docs|detector|trainer|schemas|tests|deploy|benchmarks)/[\w./*-]+|[A-Z]{4,}\.md)"
    )
    missing = {
        (str(file.relative_to(ROOT)), name)
        for file in files("*.py", "*.md", "*.toml", "Makefile", "*.yaml", "*.service")
        if file.name not in ("CHANGELOG.md", Path(__file__).name)
        for name in (found.rstrip(".,;:/") for found in path.findall(file.read_text(encoding="utf-8")))
        if not re.search(r"/(?:[A-Z]{2,}|vN\b)", name)
        and not any(ROOT.glob(name))
        and not (file.parent / name).exists()
    }
    assert missing == set()


def test_no_document_is_cited_that_readers_do_not_have() -> None:
    """DESIGN and its like were never part of the repository."""
    word = re.compile(r"\b(?:RE)?DESIGN\b")
    others = (file for file in files("*.py", "*.md") if file != Path(__file__))
    cited = {str(file.relative_to(ROOT)) for file in others if word.search(file.read_text(encoding="utf-8"))}
    assert cited == set()


def test_the_tree_of_errors_has_every_class() -> None:
    """The docstring of detector/errors.py draws all of them, each below the class that it extends."""
    drawn: dict[str, str] = {}
    depths: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^( {4}[| `-]*)([A-Z]\w+)\s{2,}", line):
            depth = len(found[1])
            depths = [(d, name) for d, name in depths if d < depth]
            drawn[found[2]] = depths[-1][1] if depths else "Exception"
            depths.append((depth, found[2]))
    classes = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert drawn == {name: kind.__base__.__name__ for name, kind in classes.items() if kind.__base__}
