"""What became of the records of some polls, and what is wrong where nothing came of them."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from detector.core.outcome import Outcome
from schemas.feed import Reason, RowFlag

_NAMED = 5  # assets that are named in a message

# Why a row has no score -> what to do, in the order in which they are asked where as many rows have them.
_REMEDIES = {
    RowFlag.UNFILLABLE: "too many sensors are missing: compare feed.values with 'watchkeeper models show MODEL'",
    RowFlag.CLOCK_RESET: "time stamps do not increase from row to row: send finer ones, or correct feed.timestamp",
    RowFlag.GAP: "rows lie further apart than the model allows: train one on them, or correct feed.timestamp_form",
    RowFlag.LATE: "rows are not newer than those before them: correct the order, or feed.timestamp",
    RowFlag.OVER_LIMIT: "raise limits.max_assets",
    RowFlag.NO_SCORE: "run: watchkeeper models verify",
    RowFlag.WARMING: "windows are not full yet: give more rows",
}


class Fault(NamedTuple):
    """Why nothing comes of the feed, and what to do."""

    problem: str
    remedy: str


@dataclass(slots=True)
class Tally:
    """Counts of some polls."""

    records: int = 0
    scored: int = 0
    dead_letters: Counter[Reason] = field(default_factory=Counter)
    flags: Counter[RowFlag] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Counts a poll."""
        self.records += outcome.records
        self.scored += outcome.scored
        self.flags += outcome.flags
        for rejected in outcome.dead_letters:
            self.dead_letters[rejected.reason] += 1

    def blindness(self, share: float, unwatched: Collection[str]) -> Fault | None:
        """What is wrong where nearly no record is read, or none scored although windows are not just filling.

        share: of unreadable records, past which nearly none is read. unwatched: assets that no rule names.
        """
        if self.dead_letters.total() > share * self.records:
            return self._unreadable()
        if self.scored or not self.records:
            return None
        reason = self._flag()
        if reason is RowFlag.WARMING or (reason is None and not self.flags[RowFlag.UNWATCHED]):
            return None
        return self.nothing_scored(unwatched)

    def nothing_scored(self, unwatched: Collection[str]) -> Fault | None:
        """What is wrong where records were read and none was scored."""
        if self.scored or not self.records:
            return None
        if 2 * self.dead_letters.total() > self.records:
            return self._unreadable()
        reason = self._flag()
        if reason is None and self.flags[RowFlag.UNWATCHED]:
            names = ", ".join(list(unwatched)[:_NAMED]) + (", ..." if len(unwatched) > _NAMED else "")
            return Fault(
                f"none of {self.records} records was scored: no watch rule names their assets ({names})",
                "name them in 'watch', or correct feed.asset",
            )
        if reason is None:
            problem = f"none of {self.records} records was scored: they gave no row of a watched asset"
            return Fault(problem, "compare feed with a record: watchkeeper check")
        word = str(reason.name).lower()
        return Fault(
            f"none of {self.records} records was scored: {self.flags[reason]} rows are {word}", _REMEDIES[reason]
        )

    def _flag(self) -> RowFlag | None:
        """Why most rows of watched assets have no score. A gap's rows are warming as well: they are the gap's."""
        interrupted = self.flags[RowFlag.GAP] + self.flags[RowFlag.CLOCK_RESET]
        counts = {flag: self.flags[flag] for flag in _REMEDIES if self.flags[flag]}
        if 2 * interrupted > counts.get(RowFlag.WARMING, 0):
            counts.pop(RowFlag.WARMING, None)
        else:
            counts = {flag: n for flag, n in counts.items() if flag not in (RowFlag.GAP, RowFlag.CLOCK_RESET)}
        return max(counts, key=lambda flag: counts[flag], default=None)

    def _unreadable(self) -> Fault:
        bad = self.dead_letters.total()
        reasons = ", ".join(f"{reason.value} {count}" for reason, count in self.dead_letters.most_common(3))
        return Fault(
            f"{bad} of {self.records} records could not be read ({reasons})",
            "see them among the dead letters, and correct 'feed' in the configuration",
        )
