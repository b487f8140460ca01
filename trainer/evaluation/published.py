"""Published figures that stand beside ours: facts from leaderboards, each with its source, in published.json."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal


@dataclass(frozen=True, slots=True)
class Published:
    """One table: a figure a column, a method a row."""

    name: str
    source: str
    note: str
    series: str  # pattern of the series' names that it is about
    protocol: Literal["split", "tsb-ad"]
    scope: Literal["set", "series"]  # whether its figures are of all these series together, or of one
    of: int  # series
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]

    def about(self, names: Iterable[str]) -> list[str]:
        """Those of the series that it is about."""
        return [name for name in names if re.search(self.series, name)]


def published(names: Iterable[str], protocol: str) -> list[Published]:
    """The tables that are about some of the series, judged in that way."""
    listed = json.loads(files("trainer.evaluation").joinpath("published.json").read_text("utf-8"))["tables"]
    tables = [Published(**{**entry, "columns": tuple(entry["columns"])}) for entry in listed]
    known = list(names)
    return [table for table in tables if table.protocol == protocol and table.about(known)]
