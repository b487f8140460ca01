"""Holds a floor under the coverage of each package: lines and branches, what subprocesses run not counted.

A plugin of pytest that acts where `--cov` is given (`make test`). Coverage itself has one floor for everything; here a
well-tested package cannot hide another. Floors are what was measured, rounded down: raise one when its package rises.
"""

import io
from collections.abc import Generator
from typing import Any

import pytest

FLOORS = {  # package -> per cent of lines and branches
    "detector/core": 98.5,
    "detector/daemon": 90.0,
    "detector/transports": 85.0,
    "trainer": 91.0,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """A part of the suite does not reach the floors."""
    parser.addoption("--no-floors", action="store_true", help="measure coverage without holding its floors")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Compares after all tests, when pytest-cov has put the workers' data together; a breach fails the run."""
    result = yield
    plugin: Any = session.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None or hasattr(session.config, "workerinput"):
        return result
    lines = [_line(controller.cov, package, floor) for package, floor in FLOORS.items()]
    session.config.stash[LINES] = lines
    if any(BELOW in line for line in lines) and not session.config.getoption("--no-floors"):
        session.testsfailed += 1
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A line a package, above pytest's own last lines."""
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("coverage of lines and branches")
        terminalreporter.write("".join(f"{line}\n" for line in lines))


def _line(coverage: Any, package: str, floor: float) -> str:
    share = coverage.report(include=[f"*/{package}/*", f"{package}/*"], file=io.StringIO())
    return f"{package:<22} {share:5.1f} %  floor {floor:.1f} %{'' if share >= floor else BELOW}"


LINES = pytest.StashKey[list[str]]()
BELOW = "  BELOW"
