"""Tables fit a terminal and cut nothing; in a pipe each row is one line, whatever the terminal would have been."""

import os
import pty
import subprocess
import sys

import pytest

from detector.commands.tables import print_table

LONG = "SHA-256 " + "0123456789abcdef" * 20
PROGRAM = f"""
from detector.commands.tables import print_table
print_table([("a", "pump [bold]1[/bold]", "{LONG}"), ("b", "x", "short")], ("", "name", "digest"))
"""


def test_a_pipe_gets_one_line_a_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long, with columns that stand below each other, without colours and without spaces at the end."""
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table([("*", "pumps", LONG), ("", "fans", "x")], ("", "model", "digest"))
    assert capsys.readouterr().out == f"   model  digest\n*  pumps  {LONG}\n   fans   x\n"


def test_without_a_head_the_rows_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """As facts do: a name and a text."""
    print_table([("model", "pumps v1"), ("created", "today")])
    assert capsys.readouterr().out == "model    pumps v1\ncreated  today\n"


def test_what_looks_like_a_style_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and units come from outside."""
    print_table([("[red]a[/red]", ":warning:", "[/]")])
    assert capsys.readouterr().out == "[red]a[/red]  :warning:  [/]\n"


def test_a_terminal_gets_lines_of_its_width_and_everything_in_them() -> None:
    """Forty columns: the long cell goes on below, no line is wider, and no character is lost."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=follower, env=environment, timeout=60, check=True)
    os.close(follower)
    text = os.read(leader, 65_536).decode().replace("\r\n", "\n")
    os.close(leader)
    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in text.splitlines()]
    assert max(map(len, plain)) <= 40
    shown = "".join(line[-(40 - plain[0].index("digest")) :].strip() for line in plain if not line.startswith("b"))
    assert LONG.replace(" ", "") in shown.replace(" ", "")
