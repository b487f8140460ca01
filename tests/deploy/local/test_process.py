"""The daemon as a process of its own, as tests and benchmarks run it."""

from pathlib import Path

from deploy.local.process import DaemonProcess


def test_a_named_checkout_runs_its_own_code(tmp_path: Path) -> None:
    """Not the code that is installed, nor that of the directory where the benchmark was started."""
    package = tmp_path / "other" / "detector"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("import sys\nprint('the other code, given', *sys.argv[1:])\nsys.exit(7)\n")
    config, log = tmp_path / "w.yaml", tmp_path / "log"
    with DaemonProcess(config, 0, log, checkout=tmp_path / "other") as process:
        assert process.wait() == 7
    assert log.read_text() == f"the other code, given run --config {config}\n"
