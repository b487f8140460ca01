"""The examples in docstrings run, and give what stands beside them."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("schemas", "detector", "trainer") for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_hold(module: str) -> None:
    """What a reader sees in a docstring is what he gets; every module with an example has one that was tried."""
    failed, tried = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert tried
    assert not failed
