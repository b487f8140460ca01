"""What the long form has seen so far: kept in a file, so that it can be stopped and resumed, and shown as a table."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from detector import disk
from tests.reliability.faults.registry import Outcome

HEADINGS = (
    "fault", "guarantee", "runs", "records", "SIGKILLs", "lost", "duplicates", "after de-duplication",
    "longest gap, s", "worst restart, s",
)  # fmt: skip
_KEPT = 3  # problems a row


@dataclass(slots=True)
class SummaryRow:
    """All runs of one fault under one guarantee."""

    runs: int = 0
    records: int = 0
    kills: int = 0
    lost: int = 0
    duplicates: int = 0  # before de-duplication
    doubled: int = 0  # after it
    gap_s: float = 0.0
    restart_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts one run."""
        self.runs += 1
        if isinstance(outcome, Exception):
            self._fail(f"{type(outcome).__name__}: {outcome}"[:400])
            return
        self.records += outcome.records
        self.kills += outcome.kills
        self.lost += outcome.lost
        self.duplicates += outcome.duplicates
        self.doubled += outcome.doubled
        self.gap_s = max(self.gap_s, outcome.gap_s)
        self.restart_s = max(self.restart_s, outcome.restart_s)
        if not outcome.passed:
            self._fail("; ".join(outcome.problems)[:400])

    def _fail(self, reason: str) -> None:
        if len(self.failures) < _KEPT:
            self.failures.append(reason)


@dataclass(slots=True)
class FaultSummary:
    """Rows by fault and guarantee, in the order in which they were first run."""

    rows: dict[str, dict[str, SummaryRow]] = field(default_factory=dict)

    @classmethod
    def resume(cls, path: Path) -> "FaultSummary":
        """The summary that an earlier run left, or an empty one."""
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def save(self, path: Path) -> None:
        """Replaces the file."""
        disk.replace(path, msgspec.json.format(msgspec.json.encode(self), indent=1))

    def add(self, name: str, guarantee: str, outcome: Outcome) -> None:
        """Counts one run."""
        self.rows.setdefault(name, {}).setdefault(guarantee, SummaryRow()).add(outcome)

    @property
    def passed(self) -> bool:
        """No run of any fault failed."""
        return not any(row.failures for rows in self.rows.values() for row in rows.values())

    def table(self) -> str:
        """As Markdown; under exactly_once duplicates are counted among committed messages."""
        cells = [list(HEADINGS)]
        for name, rows in self.rows.items():
            cells += [_cells(name, guarantee, row) for guarantee, row in rows.items()]
        cells.append(_cells(f"{len(self.rows)} faults", "", self._total()))
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in cells
        ]
        ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        failures = [
            f"{name}, {guarantee}: {reason}"
            for name, rows in self.rows.items()
            for guarantee, row in rows.items()
            for reason in row.failures
        ]
        return "\n".join([lines[0], ruler, *lines[1:], "", *failures])

    def _total(self) -> SummaryRow:
        total = SummaryRow()
        for rows in self.rows.values():
            for row in rows.values():
                for name in ("runs", "records", "kills", "lost", "duplicates", "doubled"):
                    setattr(total, name, getattr(total, name) + getattr(row, name))
                total.gap_s = max(total.gap_s, row.gap_s)
                total.restart_s = max(total.restart_s, row.restart_s)
        return total


def _cells(name: str, guarantee: str, row: SummaryRow) -> list[str]:
    numbers = (row.runs, row.records, row.kills, row.lost, row.duplicates, row.doubled)
    return [name, guarantee, *(f"{n:,}" for n in numbers), f"{row.gap_s:.1f}", f"{row.restart_s:.1f}"]
