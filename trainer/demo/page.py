"""The demo's page: the whole story in pictures and one table, self-contained."""

from datetime import timedelta
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from trainer.demo.judge import FALSE_ALARMS_AIM, Verdict
from trainer.demo.live import day
from trainer.demo.pictures import close_ups, daily, timeline, warmth
from trainer.demo.setup import Setup
from trainer.demo.story import Told
from trainer.reports.figures import style

TEMPLATE = Path(__file__).with_name("page.html")
EXPLAINED = {
    "wear": "bearing wears out",
    "leak": "water leaks between pump and meter",
    "stuck": "sensor repeats one value",
    "silent": "asset sends nothing",
}


def write_page(setup: Setup, told: Told, verdict: Verdict) -> bytes:
    """UTF-8 HTML, nothing to fetch."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    start = told.evidence.truth.start
    with style():
        return (
            environment.from_string(TEMPLATE.read_text("utf-8"))
            .render(
                setup=setup,
                told=told,
                verdict=verdict,
                aim=FALSE_ALARMS_AIM,
                timeline=timeline(setup, told, verdict),
                daily=daily(setup, told, verdict),
                warmth=warmth(setup, told, verdict),
                close_ups=list(close_ups(setup, told, verdict)),
                explained=EXPLAINED,
                day=lambda when: day(when, start),
                span=span,
            )
            .encode("utf-8")
        )


def span(length: timedelta) -> str:
    """A length of time as people say it."""
    minutes = length.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
