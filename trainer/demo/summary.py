"""What came of the story: the last lines that a person reads, and the same figures for machines."""

from typing import Any

from trainer.demo.judge import AlarmRate, FaultOutcome, StoryVerdict
from trainer.demo.live import day
from trainer.demo.processes import EXECUTABLE
from trainer.demo.setup import MODEL, DemoSetup
from trainer.demo.story import FinishedStory


def print_summary(setup: DemoSetup, story: FinishedStory, verdict: StoryVerdict) -> None:
    """Prints each fault and figure, what was not as promised, and what to do next."""
    print("\n7. What came of it")
    for outcome in verdict.outcomes:
        print(f"  {_outcome_line(outcome, story)}")
    print(f"  false alarms on clean days   {_rate_line(verdict.clean)}")
    print(f"  alarms while it grew warmer  {_rate_line(verdict.drifting)}")
    print(f"  alarms with the new model    {_rate_line(verdict.renewed)}")
    scored = f"{verdict.scored_records:,} of {verdict.records:,}"
    print(f"  records scored               {scored}, by one process ({story.pid})")
    for failure in verdict.failures:
        print(f"  NOT AS PROMISED: {failure}")
    store = f"--config {setup.config}"
    print(f"""
It took {story.seconds:.0f} s. What next:
  open {setup.page}   the whole story as pictures
  {EXECUTABLE.name} models list {store}   the models and how they were judged
  {EXECUTABLE.name} alerts {store}   the alarms, as an operator reads them
  edit a copy of {setup.config}, then: {EXECUTABLE.name} train --model {MODEL} --data YOUR_HISTORY.csv --config COPY""")
    if setup.bootstrap is not None:
        print(
            f"  the topics {setup.name}.* stay on {setup.bootstrap}; a broker that ends with the demo takes them along"
        )


def _outcome_line(outcome: FaultOutcome, story: FinishedStory) -> str:
    fault = outcome.fault
    head = f"{fault.kind:<7} {fault.asset}"
    if outcome.delay is None:
        return f"{head}  not found"
    first = outcome.incidents[0]
    sensors = f" by {', '.join(first.sensors)}" if first.sensors else ""
    late = outcome.delay.total_seconds() / 3600
    return f"{head}  found on {day(first.opened, story.observed.truth.start)}, {late:.1f} h after it began{sensors}"


def _rate_line(rate: AlarmRate) -> str:
    above = f"{rate.share_above:.2%} of scores above the threshold"
    return f"{rate.alarms} ({rate.per_asset_week:.2f} per asset and week; {above})"


def figures(story: FinishedStory, verdict: StoryVerdict) -> dict[str, Any]:
    """The figures for machines."""
    return {
        "passed": verdict.passed,
        "failures": verdict.failures,
        "seconds": round(story.seconds, 1),
        "pid": story.pid,
        "records": verdict.records,
        "scored_records": verdict.scored_records,
        "unscored": verdict.unscored,
        "retrain_requests": verdict.requests,
        "swaps": [at.isoformat() for at in verdict.swaps],
        "faults": [
            {
                "kind": outcome.fault.kind,
                "asset": outcome.fault.asset,
                "once": outcome.once,
                "named": outcome.named,
                "delay_s": None if outcome.delay is None else outcome.delay.total_seconds(),
                "sensors": outcome.incidents[0].sensors if outcome.incidents else (),
            }
            for outcome in verdict.outcomes
        ],
        "rates": {
            name: {"alarms": rate.alarms, "per_asset_week": rate.per_asset_week, "share_above": rate.share_above}
            for name, rate in (("clean", verdict.clean), ("drifting", verdict.drifting), ("renewed", verdict.renewed))
        },
    }
