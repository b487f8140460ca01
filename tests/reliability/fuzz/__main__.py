"""`python -m tests.reliability.fuzz`: runs the targets, each in a process of its own, and tells what came of it.

Exit code 1 when a target had a finding: an exception that is no classified refusal, a broken promise, a hang, or too
much memory. Findings are kept in the folder that is named; put one into findings/TARGET/ with its fix.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.reliability.fuzz.register import NAMES, findings, target
from tests.reliability.fuzz.target import Target

_HANG_S = 10
_MEMORY_MB = 1024
# atheris 3.0.0 keeps what instrumented code compares, some KB a case: a process ends before that counts as a finding.
_SITTING = 150_000
_TELL_S = 15.0
_SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would be the slowest part of a case
_STATUS = re.compile(r"^#(\d+)\t(\S+)\s+cov: (\d+)")


@dataclass(slots=True)
class TargetResult:
    """What came of one target."""

    target: str
    cases: int = 0
    seconds: float = 0.0
    accepted: int = 0
    coverage_before: int = 0  # edges of instrumented code that the seeds reach
    coverage: int = 0
    findings: int = 0
    slowest_s: float = 0.0
    said: str = ""  # how a finding showed itself


def main() -> int:
    """Runs what is asked for; prints a table, and one JSON object a target with --json."""
    asked = _arguments()
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda name: run(name, asked), asked.target or NAMES))
    if asked.json:
        print("\n".join(json.dumps(asdict(result)) for result in results))
    else:
        print("\n".join(["", *table(results)]))
    for result in results:
        if result.findings:
            print(f"\n{result.target}: {result.said}\nkept in {asked.folder / result.target}", file=sys.stderr)
    return 1 if any(result.findings for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="cases a target")
    parser.add_argument("--seconds", type=int, default=0, help="end a target after so many; 0: not before its cases")
    parser.add_argument("--target", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-out"), help="corpus and findings are kept here")
    parser.add_argument("--json", action="store_true", help="one JSON object a target instead of a table")
    return parser.parse_args()


def run(name: str, asked: argparse.Namespace) -> TargetResult:
    """One target, in as many sittings as its cases need, with progress on standard error."""
    result, begun = TargetResult(name), time.monotonic()
    while result.cases < asked.runs and not result.findings:
        left_s = round(begun + asked.seconds - time.monotonic()) if asked.seconds else 0
        if asked.seconds and left_s <= 0:
            break
        _sit(result, asked.folder / name, min(asked.runs - result.cases, _SITTING), left_s)
    print("done: " + _row(result).strip(), file=sys.stderr, flush=True)
    return result


def _sit(result: TargetResult, place: Path, runs: int, seconds: int) -> None:
    """So many cases in a process of their own, beginning with the corpus of those before."""
    name = result.target
    corpus = place / "corpus"  # what an earlier run found out is where the next one begins
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as scratch:
        seeds = _write_seeds(target(name), Path(scratch))
        command = [
            sys.executable, "-m", "tests.reliability.fuzz.child", name, str(place), f"-runs={runs}",
            f"-max_total_time={seconds}", f"-max_len={target(name).longest}", f"-timeout={_HANG_S}",
            f"-rss_limit_mb={_MEMORY_MB}", f"-artifact_prefix={place}/", f"-dict={scratch}/tokens",
            "-print_final_stats=1", str(corpus), str(seeds),
        ]  # fmt: skip
        _follow(result, command, place, os.environ | {"TMPDIR": scratch})


def _write_seeds(chosen: Target, scratch: Path) -> Path:
    """The corpus made by code, what was found before, and the dictionary."""
    seeds = scratch / "seeds"
    seeds.mkdir()
    for number, data in enumerate([*chosen.seeds(), *findings(chosen.name).values()]):
        (seeds / str(number)).write_bytes(data)
    quoted = ("".join(f"\\x{byte:02x}" for byte in token) for token in chosen.tokens)
    (scratch / "tokens").write_text("".join(f'"{token}"\n' for token in quoted))
    return seeds


def _follow(result: TargetResult, command: list[str], place: Path, environment: dict[str, str]) -> None:
    """Runs a sitting and adds what came of it."""
    begun, told, earlier = time.monotonic(), time.monotonic(), result.cases
    before = set(place.iterdir())
    lines: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            status = _STATUS.match(line)
            if not status:
                lines = [*lines[-200:], line]
                continue
            result.cases, result.coverage = earlier + int(status[1]), int(status[3])
            result.coverage_before = result.coverage_before or result.coverage
            if time.monotonic() - told > _TELL_S:
                told = time.monotonic()
                print(_row(result, told - begun), file=sys.stderr, flush=True)
    result.seconds = round(result.seconds + time.monotonic() - begun, 1)
    found = [path for path in set(place.iterdir()) - before if path.name.split("-")[0] in _KINDS]
    result.findings = max(len(found), int(process.returncode != 0))
    if result.findings:
        result.said = "".join(line for line in lines if not line.startswith(("INFO", "stat::")))[-4000:]
    facts = json.loads((place / "facts.json").read_text())
    result.accepted, result.slowest_s = result.accepted + facts["accepted"], max(result.slowest_s, facts["slowest_s"])
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", "".join(lines))
    result.cases = earlier + (int(executed[1]) if executed else facts["cases"])


_KINDS = ("crash", "timeout", "oom", "leak")


def _row(result: TargetResult, seconds: float | None = None) -> str:
    took = max(result.seconds + (seconds or 0.0), 0.1)
    return f"{result.target:>13}: {result.cases:>9,} cases, {result.cases / took:,.0f}/s, coverage {result.coverage:,}"


def table(results: list[TargetResult]) -> list[str]:
    """Markdown, as it stands in docs/evidence/fuzzing.md."""
    rows = [
        "| target | cases | cases/s | accepted | coverage: seeds | at the end | findings | slowest case |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {r.target} | {r.cases:,} | {r.cases / max(r.seconds, 0.1):,.0f} | {r.accepted / max(r.cases, 1):.0%} "
        f"| {r.coverage_before:,} | {r.coverage:,} | {r.findings} | {r.slowest_s * 1000:,.0f} ms |"
        for r in results
    ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
