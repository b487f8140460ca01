"""The long form of the fault matrix: goes round it until the time is over, and prints what it saw.

    python -m tests.reliability.faults --minutes 30 [--only WORD] [--json]

The summary lies in var/faults and is taken up again by the next call; beside it, what runs that failed left behind.
Exit code 1: something was lost, doubled, or a run did not come to its end.
"""

import argparse
import itertools
import os
import shutil
import sys
import time
from pathlib import Path

from tests.reliability.faults import feed
from tests.reliability.faults.matrix import FAULTS, Fault
from tests.reliability.faults.summary import FaultSummary
from tests.reliability.faults.testbed import FaultTestbed

KILLS = 20  # how often a run is hit
DEFAULT_MINUTES = 30.0


def main() -> None:
    """Parses the arguments, runs, prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.faults", description=__doc__)
    minutes = float(os.environ.get("FAULTS_BUDGET") or DEFAULT_MINUTES)
    parser.add_argument("--minutes", type=float, default=minutes, help="default: FAULTS_BUDGET, or 30")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--records", type=int, default=feed.LONG, help="records of a run")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often a run is hit")
    parser.add_argument("--out", type=Path, default=Path("var/faults"), help="where the summary lies")
    parser.add_argument("--json", action="store_true", help="print the summary instead of the table")
    given = parser.parse_args()
    chosen = [fault for fault in FAULTS.values() if given.only in fault.name]
    if not chosen:
        sys.exit(f"faults: no fault is named {given.only!r}; there are: {', '.join(FAULTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "summary.json"
    summary = FaultSummary.resume(path)
    bench_folder = given.out / "testbed"
    shutil.rmtree(bench_folder, ignore_errors=True)  # what failed the last time lay there, to be looked at
    with FaultTestbed(bench_folder.resolve(), given.records, given.kills) as testbed:
        _go_round(testbed, chosen, summary, path, time.monotonic() + 60 * given.minutes)
    (given.out / "table.md").write_text(summary.table() + "\n")
    print(path.read_text() if given.json else summary.table())
    sys.exit(0 if summary.passed else 1)


def _go_round(testbed: FaultTestbed, faults: list[Fault], summary: FaultSummary, path: Path, deadline: float) -> None:
    """Those with the fewest runs first, so that a short budget resumes where the last one ended."""
    runs = {fault.name: sum(row.runs for row in summary.rows.get(fault.name, {}).values()) for fault in faults}
    order = sorted(faults, key=lambda fault: runs[fault.name])
    for fault in itertools.cycle(order):
        if time.monotonic() >= deadline:
            return
        begun = time.monotonic()
        try:
            outcomes = fault.reconciliations(testbed)
        except Exception as error:  # noqa: BLE001  # one fault that cannot be run is a row, not the end
            outcomes = dict.fromkeys(fault.guarantees, error)
        for guarantee, outcome in outcomes.items():
            summary.add(fault.name, guarantee, outcome)
            said = outcome if isinstance(outcome, Exception) else outcome.problems or "fine"
            print(f"{time.monotonic() - begun:6.1f} s  {fault.name}, {guarantee}: {said}", file=sys.stderr, flush=True)
        summary.save(path)


if __name__ == "__main__":
    main()
