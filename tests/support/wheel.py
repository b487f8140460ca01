"""The distribution as a user gets it: a wheel, and a virtual environment that holds nothing else of this project."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("watchkeeper-*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path) -> Path:
    """A virtual environment with the wheel in it; gives the folder of its programs.

    Libraries come from the environment of the tests by a .pth file. Python reads no .pth files of a folder that such a
    file names: the checkout, which is installed there as editable, stays out of sight.
    """
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    command = [*install, "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in libraries), encoding="utf-8")
    return programs
