"""`watchkeeper demo`: runs the story, judges it, and writes the page."""

import json
import logging
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from trainer.demo.judge import judge
from trainer.demo.page import write_page
from trainer.demo.setup import prepare
from trainer.demo.story import run_story
from trainer.demo.summary import figures, print_summary
from trainer.simulate.scenario import STORY_DAYS


def demo(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for everything it writes.")] = Path("demo-out"),
    days: Annotated[float, typer.Option(min=1, max=365, help="Length of the story in the plant's days.")] = STORY_DAYS,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Run over this Apache Kafka, in topics of its own, instead of files."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON; the story goes to standard error.")] = False,
) -> None:
    """Show watchkeeper on a simulated plant: history, model, faults, alarms, drift, a new model.

    Every part is the real command as a process of its own. A page with pictures tells the story at the end. Exit
    code 1 when something that was promised did not happen.

    Example: watchkeeper demo --out demo-out
    """
    # A broker that ends under the demo's own readers is no news; SIGTERM ends the processes as Ctrl-C does.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        setup = prepare(out, days, bootstrap_servers)
        story = run_story(setup)
        verdict = judge(story.observed)
        setup.page.write_bytes(write_page(setup, story, verdict))
        print_summary(setup, story, verdict)
    if as_json:
        print(json.dumps(figures(story, verdict), indent=1))
    raise typer.Exit(0 if verdict.passed else 1)
