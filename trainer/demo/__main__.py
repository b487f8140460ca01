"""`python -m trainer.demo`: tells the story, judges it, and writes the page. Exits 1 when it did not happen."""

import argparse
import json
import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from deploy.local.broker import Broker
from detector.errors import WatchkeeperError
from trainer.demo.commands import EXECUTABLE
from trainer.demo.judge import Finding, Rate, Verdict, judge
from trainer.demo.live import day
from trainer.demo.page import write_page
from trainer.demo.setup import MODEL, Setup, prepare
from trainer.demo.story import Told, tell
from trainer.simulate.scenario import STORY_DAYS


def main() -> int:
    """Parses the arguments and runs the demo; gives the exit code."""
    arguments = _arguments()
    # The demo stops the broker under its own readers; what kafka-python says of that is no news.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        # With --json the story goes to standard error, so that standard output holds the figures alone.
        with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
            setup, told, verdict = _run(arguments.out, arguments.days, kafka=arguments.kafka)
            _close(setup, told, verdict)
    except WatchkeeperError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(figures(told, verdict), indent=1))
    return 0 if verdict.kept else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.demo",
        description="Shows watchkeeper on a simulated plant: history, model, faults, alarms, drift, a new model.",
    )
    parser.add_argument("--kafka", action="store_true", help="over a real Apache Kafka (JDK 17 and Maven), not files")
    parser.add_argument("--days", type=float, default=STORY_DAYS, help=f"length of the story [{STORY_DAYS:g}]")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for everything it writes [demo-out]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON (the story goes to stderr)")
    return parser.parse_args()


def _run(directory: Path, days: float, *, kafka: bool) -> tuple[Setup, Told, Verdict]:
    if not kafka:
        return _tell(prepare(directory, days, None))
    print("Starting Apache Kafka on this machine (the first time it is fetched: 45 MB) ...", flush=True)
    with Broker() as broker:
        return _tell(prepare(directory, days, broker.bootstrap))


def _tell(setup: Setup) -> tuple[Setup, Told, Verdict]:
    told = tell(setup)
    return setup, told, judge(told.evidence)


def _close(setup: Setup, told: Told, verdict: Verdict) -> None:
    page = setup.directory / "report.html"
    page.write_bytes(write_page(setup, told, verdict))
    print("\n7. What came of it")
    for finding in verdict.findings:
        print(f"  {_finding_line(finding, told)}")
    print(f"  false alarms on clean days   {_rate_line(verdict.clean)}")
    print(f"  alarms while it grew warmer  {_rate_line(verdict.drifting)}")
    print(f"  alarms with the new model    {_rate_line(verdict.renewed)}")
    print(
        f"  records scored               {verdict.scored_records:,} of {verdict.records:,}, by one process ({told.pid})"
    )
    for broken in verdict.broken:
        print(f"  NOT AS PROMISED: {broken}")
    store = f"--config {setup.config}"
    print(f"""
It took {told.seconds:.0f} s. What next:
  open {page}   the whole story as pictures
  {EXECUTABLE.name} models list {store}   the models and how they were judged
  {EXECUTABLE.name} alerts {store}   the alarms, as an operator reads them
  edit a copy of {setup.config}, then: {EXECUTABLE.name} train --model {MODEL} --data YOUR_HISTORY.csv --config COPY""")


def _finding_line(finding: Finding, told: Told) -> str:
    fault = finding.fault
    head = f"{fault.kind:<7} {fault.asset}"
    if finding.delay is None:
        return f"{head}  not found"
    first = finding.incidents[0]
    sensors = f" by {', '.join(first.sensors)}" if first.sensors else ""
    late = finding.delay.total_seconds() / 3600
    return f"{head}  found on {day(first.opened, told.evidence.truth.start)}, {late:.1f} h after it began{sensors}"


def _rate_line(rate: Rate) -> str:
    above = f"{rate.share_above:.2%} of scores above the threshold"
    return f"{rate.alarms} ({rate.per_asset_week:.2f} per asset and week; {above})"


def figures(told: Told, verdict: Verdict) -> dict[str, Any]:
    """The figures for machines."""
    return {
        "kept": verdict.kept,
        "broken": verdict.broken,
        "seconds": round(told.seconds, 1),
        "pid": told.pid,
        "records": verdict.records,
        "scored_records": verdict.scored_records,
        "unscored": verdict.unscored,
        "retrain_requests": verdict.requests,
        "swaps": [at.isoformat() for at in verdict.swaps],
        "faults": [
            {
                "kind": finding.fault.kind,
                "asset": finding.fault.asset,
                "once": finding.once,
                "named": finding.named,
                "delay_s": None if finding.delay is None else finding.delay.total_seconds(),
                "sensors": finding.incidents[0].sensors if finding.incidents else (),
            }
            for finding in verdict.findings
        ],
        "rates": {
            name: {"alarms": rate.alarms, "per_asset_week": rate.per_asset_week, "share_above": rate.share_above}
            for name, rate in (("clean", verdict.clean), ("drifting", verdict.drifting), ("renewed", verdict.renewed))
        },
    }


if __name__ == "__main__":
    sys.exit(main())
