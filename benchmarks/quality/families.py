"""The families of networks side by side: `python -m benchmarks.quality.families --data DIR`.

Every family is trained with the default configuration on each series' train rows and judges its test rows causally, as
`watchkeeper evaluate` does. Times are processor time of one thread, so that a busy machine tells the same story.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from detector.bundles.loading import OnnxScorer
from detector.errors import ConfigError, DataError, WatchkeeperError
from schemas.config import Limits
from schemas.training import Training
from trainer.bundle.result import Fitted
from trainer.evaluation.evaluate import MODEL, method_scores
from trainer.evaluation.judge import MethodResult, judge
from trainer.evaluation.series import Series, read_series
from trainer.metrics.rows import Counts
from trainer.networks import FAMILIES, build
from trainer.networks.config import network_config
from trainer.recipe import train

SKAB = Path(__file__).resolve().parents[3] / "shared" / "data" / "skab"
MIN_TIMED_S = 0.5  # the least time that the graph is timed for


@dataclass(frozen=True, slots=True)
class FamilyFigures:
    """One family's figures over all series."""

    family: str
    series: int
    vus_pr: float  # mean over series
    auc_pr: float  # mean over series
    f1: float  # of all test rows together
    far_percent: float  # of all test rows together
    fit_s: float  # processor time from history to bundle, mean over series
    weights: int  # of the network
    graph_kib: float
    records_per_s: float  # through the graph, one thread, batches as the daemon's


def families(
    data: Annotated[Path, typer.Option(help="Folder of labelled Parquet series.")] = SKAB,
    series: Annotated[int, typer.Option(min=0, help="Only so many, evenly spread; 0: all.")] = 0,
    family: Annotated[list[str] | None, typer.Option(help="Only these; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on standard output.")] = False,
) -> None:
    """Measure detection, fit time, size and speed of each family with the default configuration."""
    unknown = set(family or ()) - set(FAMILIES)
    if unknown:
        raise ConfigError(f"there is no family {min(unknown)}", f"known: {', '.join(FAMILIES)}")
    chosen = _labelled(data, series)
    rows = []
    for name in family or FAMILIES:
        print(f"{name}: {len(chosen)} series", file=sys.stderr, flush=True)
        rows.append(_measure(name, chosen))
    print(json.dumps([asdict(row) for row in rows], indent=1) if as_json else "\n".join(_table(rows)))


def _labelled(data: Path, most: int) -> list[Series]:
    """Labelled series with test rows, in the order of their names."""
    found = [read_series(path) for path in sorted(data.glob("*.parquet"))]
    known = [each for each in found if each is not None and each.labels is not None and each.labels.any()]
    if not known:
        raise DataError(f"{data} holds no labelled series", "give a folder of Parquet series with --data")
    if not most or len(known) <= most:
        return known
    return [known[index] for index in np.linspace(0, len(known) - 1, most).astype(int)]


def _measure(family: str, chosen: list[Series]) -> FamilyFigures:
    # The network alone: what `auto` would choose may have other components in it, or no network at all.
    training = Training.model_validate({"family": family, "score": "mahalanobis"})
    results: list[MethodResult] = []
    fit_s, speeds, sizes = [], [], []
    for each in chosen:
        begun = time.process_time()
        fitted = train(each.train, MODEL, training)
        fit_s.append(time.process_time() - begun)
        results.append(judge(each, method_scores(each, fitted)))
        speeds.append(_speed(each, fitted))
        sizes.append(len(fitted.graph) / 1024)
    network, _ = build(network_config(training, len(chosen[0].train.sensors)))
    total = sum((one.counts for one in results if one.counts is not None), Counts(0, 0, 0, 0))
    return FamilyFigures(
        family=family,
        series=len(chosen),
        vus_pr=_mean([one.volume for one in results]),
        auc_pr=_mean([one.area for one in results]),
        f1=total.f1,
        far_percent=100 * total.false_alarm_rate,
        fit_s=_mean(fit_s),
        weights=sum(parameter.numel() for parameter in network.parameters()),
        graph_kib=_mean(sizes),
        records_per_s=_mean(speeds),
    )


def _speed(series: Series, fitted: Fitted) -> float:
    """Windows a second through the graph."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    batch, shape = Limits().batch_windows, fitted.manifest.window
    rows = np.resize(series.values, (batch + shape - 1, series.values.shape[1]))
    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(rows, shape, axis=0).transpose(0, 2, 1))
    scorer.sensor_error(windows)
    done, begun = 0, time.process_time()
    while time.process_time() - begun < MIN_TIMED_S:
        scorer.sensor_error(windows)
        done += batch
    return done / (time.process_time() - begun)


def _mean(values: list[float] | list[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _table(rows: list[FamilyFigures]) -> Iterator[str]:
    """A Markdown table."""
    yield f"{rows[0].series} series, defaults but `score: mahalanobis`, one seed"
    yield ""
    yield "| family | VUS-PR | AUC-PR | F1 | FAR % | fit, CPU s | weights | graph KiB | records/s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.family} | {row.vus_pr:.3f} | {row.auc_pr:.3f} | {row.f1:.2f} | {row.far_percent:.1f} "
            f"| {row.fit_s:.1f} | {row.weights:,} | {row.graph_kib:.0f} | {row.records_per_s:,.0f} |"
        )


def main() -> None:
    """Runs the command; a fault is one line."""
    try:
        typer.run(families)
    except WatchkeeperError as error:
        sys.exit(f"families: {error}")


if __name__ == "__main__":
    main()
