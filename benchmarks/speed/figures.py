"""A measured figure, its aim, and how both are printed: as a table, or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from detector.commands.tables import print_table


@dataclass(frozen=True, slots=True)
class Figure:
    """aim_low or aim_high: the figure should not be below or above it; neither: it only informs."""

    name: str
    value: float
    unit: str = ""
    aim_low: float | None = None
    aim_high: float | None = None

    @property
    def met(self) -> bool:
        """Whether the aim is reached; true where there is none. Not a number reaches nothing."""
        low = self.aim_low is None or self.value >= self.aim_low
        return low and (self.aim_high is None or self.value <= self.aim_high)

    def cells(self) -> tuple[str, str, str]:
        """Name, value and aim as a person reads them."""
        return self.name, f"{short(self.value)} {self.unit}".rstrip(), self._aim()

    def _aim(self) -> str:
        if self.aim_low is None and self.aim_high is None:
            return ""
        bound = f">= {self.aim_low:g}" if self.aim_low is not None else f"<= {self.aim_high:g}"
        return f"aim {bound}{'' if self.met else ', MISSED'}"


def short(value: float) -> str:
    """Three significant digits, whole above 100."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def conclude(figures: Sequence[Figure], as_json: bool) -> int:
    """Prints the figures, the last thing a measuring command does; gives its exit code."""
    if as_json:
        print(json.dumps([asdict(figure) | {"met": figure.met} for figure in figures], indent=1))
    else:
        print_table([figure.cells() for figure in figures])
    return 0 if all(figure.met for figure in figures) else 1
