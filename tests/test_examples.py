"""The examples in docstrings run, and give what stands beside them."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("schemas", "detector", "trainer") for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES if ">>> " in path.read_text("utf-8")
]
WITH_EXAMPLES = ("trainer/calibration", "trainer/metrics")  # rooms whose every public function shows one


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_hold(module: str) -> None:
    """What a reader sees in a docstring is what he gets; every module with an example has one that was tried."""
    failed, tried = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert tried
    assert not failed


@pytest.mark.parametrize("room", WITH_EXAMPLES)
def test_every_public_function_of_a_room_has_an_example(room: str) -> None:
    """The functions that a reader may call each show one call; the test names those that do not."""
    bare = [
        f"{path.stem}.{node.name}"
        for path in sorted((ROOT / room).glob("*.py"))
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if ">>> " not in (ast.get_docstring(node) or "")
    ]
    assert bare == []
