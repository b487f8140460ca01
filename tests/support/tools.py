"""Programs of other people that some tests ask: without one they skip on a person's machine and fail in CI."""

import os
import shutil
from typing import NoReturn

import pytest


def in_ci() -> bool:
    """Whether the variable CI says that every test must run."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def missing(problem: str, remedy: str) -> NoReturn:
    """Skips the test with the reason; fails it in CI, where nothing may be left out in silence."""
    if in_ci():
        pytest.fail(f"CI must run this test: {problem}: {remedy}")
    pytest.skip(problem)


def require_tool(program: str, package: str) -> str:
    """The path of a program; package: Debian's name of what brings it."""
    path = shutil.which(program)
    return path or missing(f"{program} is not installed", f"install {package} (.ci/run does so as root)")
