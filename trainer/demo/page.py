"""The demo's page: the whole story in pictures and one table, self-contained."""

from datetime import timedelta

from trainer.demo.judge import FALSE_ALARMS_AIM, StoryVerdict
from trainer.demo.live import day
from trainer.demo.pictures import close_ups, daily, timeline, warmth
from trainer.demo.setup import DemoSetup
from trainer.demo.story import FinishedStory
from trainer.reports.figures import style
from trainer.reports.page import render

EXPLAINED = {
    "wear": "bearing wears out",
    "leak": "water leaks between pump and meter",
    "stuck": "sensor repeats one value",
    "silent": "asset sends nothing",
}


def write_page(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> bytes:
    """UTF-8 HTML, nothing to fetch."""
    start = story.observed.truth.start
    with style():
        return render(
            "demo.html",
            {
                "setup": setup,
                "story": story,
                "verdict": verdict,
                "aim": FALSE_ALARMS_AIM,
                "timeline": timeline(setup, story, verdict),
                "daily": daily(setup, story, verdict),
                "warmth": warmth(setup, story, verdict),
                "close_ups": list(close_ups(setup, story, verdict)),
                "explained": EXPLAINED,
                "day": lambda when: day(when, start),
                "span": span,
            },
        )


def span(length: timedelta) -> str:
    """A length of time as people say it."""
    minutes = length.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
