"""Every module of the core with functions shows one of them at work; tests/test_examples.py runs the examples."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import detector.core

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(detector.core.__path__, "detector.core.")
    if not found.ispkg
]
# Their functions are given a running pipeline or a whole bundle: an example would be longer than the function.
WITHOUT = {"alarms.explanation", "alarms.process", "drift", "state.assets", "state.checkpoint"}


def _functions(module: ModuleType) -> list[str]:
    """The public functions that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


def _has_example(module: ModuleType) -> bool:
    return ">>> " in inspect.getsource(module)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_module_of_functions_has_an_example(module: ModuleType) -> None:
    """A reader sees what goes in and what comes out; an exception that has one leaves the list."""
    excepted = module.__name__.removeprefix("detector.core.") in WITHOUT
    assert _has_example(module) != excepted or not _functions(module)
