"""What is installed: a wheel that carries all that its commands read."""

import subprocess
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, build_wheel, install_wheel

PACKAGES = {"schemas", "detector", "trainer"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files in it."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_three_packages_whole_and_nothing_else(names: set[str]) -> None:
    """A template or a table that is left out is missed only by the user whose command reads it."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    files = {str(path.relative_to(ROOT)) for path in paths if "__pycache__" not in path.parts}
    assert {name for name in files if not name.endswith(".py")}, "no template, no table: what is looked for?"
    assert files <= names
    inside = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in inside} == PACKAGES


def test_every_command_of_the_trainer_leads_to_a_module_in_it(wheel: Path, names: set[str]) -> None:
    """An entry point that names a module which is not shipped breaks `watchkeeper --help`."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in names if name.endswith("entry_points.txt"))
        points = ConfigParser()
        points.read_string(archive.read(name).decode())
    commands = dict(points["watchkeeper.commands"])
    assert {"demo", "train", "worker"} <= commands.keys()
    assert {f"{target.partition(':')[0].replace('.', '/')}.py" for target in commands.values()} <= names


def test_an_installed_command_runs_the_installed_code(wheel: Path, tmp_path: Path) -> None:
    """From a directory that knows nothing of the checkout."""
    programs = install_wheel(wheel, tmp_path / "venv")
    where = [str(programs / "python"), "-c", "import detector, trainer; print(detector.__file__, trainer.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=True)
    assert all(path.startswith(str(tmp_path)) for path in found.stdout.split())
    shown = subprocess.run(
        [str(programs / "watchkeeper"), "demo", "--help"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--bootstrap-servers" in shown.stdout
