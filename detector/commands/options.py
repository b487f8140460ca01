"""Options that mean the same in every command."""

from pathlib import Path
from typing import Annotated

import typer

from detector.config import CONFIG_VARIABLE

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        show_default=False,
        help="The configuration file (YAML). Without one: the defaults, and WATCHKEEPER_ variables.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of lines for people.")]
