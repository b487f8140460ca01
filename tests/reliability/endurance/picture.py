"""The soak as a picture: memory, threads and descriptors over time, with the faults marked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from deploy.local.process import Vitals

ROWS: tuple[tuple[str, Callable[[Vitals], float]], ...] = (
    ("resident memory, MiB", lambda v: v.resident_mib),
    ("threads", lambda v: v.threads),
    ("file descriptors", lambda v: v.descriptors),
)


def draw(moments_s: Sequence[float], vitals: Sequence[Vitals], faults: Sequence[tuple[float, str]], path: Path) -> None:
    """Writes a PNG. Faults are grey lines, named in the uppermost panel the first time each comes."""
    figure, axes = plt.subplots(len(ROWS), 1, sharex=True, figsize=(9, 9), layout="constrained")
    for axis, (label, pick) in zip(axes, ROWS, strict=True):
        axis.plot([moment / 60 for moment in moments_s], [pick(v) for v in vitals], color="#0072B2", linewidth=1.8)
        axis.set_ylabel(label, fontsize=12)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        for moment, _ in faults:
            axis.axvline(moment / 60, color="#999999", linewidth=0.8, zorder=0)
    named: set[str] = set()
    for moment, name in faults:
        if name not in named:
            axes[0].text(moment / 60, 5, f" {name}", rotation=90, fontsize=9, va="bottom", color="#444444")
            named.add(name)
    axes[-1].set_xlabel("minutes", fontsize=12)
    figure.savefig(path, dpi=110)
    plt.close(figure)
