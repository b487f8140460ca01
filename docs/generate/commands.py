"""Every command with its arguments, options, defaults and help, from the program itself."""

import inspect
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import typer
from typer.main import get_command

from detector import cli


def commands_page() -> str:
    """Markdown: a section a command, in the order of `watchkeeper --help`."""
    lines = [
        "# Commands",
        "",
        "Written by `make reference` from the program: this is what `watchkeeper COMMAND --help` says.",
        f"{_of_the_trainer()} need the extra `trainer`.",
        "[Exit codes](exit-codes.md) say whose fault an error is.",
    ]
    for context in contexts():
        command = context.command
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        lines += ["", f"## {context.command_path}", "", f"```text\n{usage}\n```", "", *_help(command)]
        rows = list(_rows(context))
        if rows:
            lines += ["", "| argument or option | meaning |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _of_the_trainer() -> str:
    *names, last = sorted(f"`{point.name}`" for point in entry_points(group=cli.COMMANDS))
    return f"{', '.join(names)} and {last}"


def contexts() -> list[Any]:
    """Every command that does something, groups left out, as contexts that know their full name."""
    cli.register(())
    root = typer.Context(get_command(cli.app), info_name="watchkeeper")
    return list(_leaves(root))


def _leaves(context: Any) -> Iterator[Any]:
    inner = getattr(context.command, "commands", None)
    if inner is None:
        yield context
    for name, command in (inner or {}).items():
        yield from _leaves(typer.Context(command, info_name=name, parent=context))


def undocumented() -> list[str]:
    """The commands without help, and the options and arguments without a meaning."""
    found = []
    for context in contexts():
        found += [] if context.command.help else [context.command_path]
        found += [f"{context.command_path} {each.name}" for each in context.command.params if not each.help]
    return found


def _help(command: Any) -> list[str]:
    """The help text; indented lines are shown as they are."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(f"```text\n{each}\n```" if each.startswith("  ") else each for each in paragraphs).splitlines()


def _rows(context: Any) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        if parameter.name == "help":
            continue
        name, text = parameter.get_help_record(context)
        yield f"| `{name.replace('|', chr(92) + '|')}` | {text.replace('|', '/')} |"
