"""`watchkeeper evaluate`: detection quality on a folder of labelled series."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.errors import ConfigError, DataError
from schemas.config import Settings, Training
from trainer.evaluate import Judged, evaluate_series
from trainer.metrics import Counts
from trainer.series import read_series

DataOption = Annotated[Path, typer.Option("--data", help="Folder of Parquet files, one series each.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for NAME.parquet (timestamp, score, pred) and metrics.")]


def evaluate(
    data: DataOption,
    out: OutOption,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Take training.MODEL of the configuration; without it, the only one there, or the defaults.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Series worked on at the same time.")] = max(1, os.cpu_count() or 1),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure detection on labelled series: train on each one's train rows, judge its test rows as the daemon would.

    A series is a Parquet file with `timestamp`, numeric sensors, `split` (train, test) and perhaps `label` (1 is
    anomalous). A fresh model is trained per series; its threshold comes from held-out train rows alone, and each test
    row is judged from rows up to it (labels are read only to count). Writes one NAME.parquet a series and metrics.json.

    F1, FAR (share of normal rows alarmed) and MAR (share of anomalous rows missed) are pooled over all test rows;
    AUC-PR and VUS-PR (Paparrizos et al. 2022, buffer of 100 rows) are means over series.
    """
    training = _training(load_settings(config), model)
    paths = _paths(data)
    out.mkdir(parents=True, exist_ok=True)
    if not as_json:
        typer.echo(f"evaluating {len(paths)} series of {data}: window {training.window}, family {training.family}")
    judged = []
    for result in _judge_all(paths, training, out, jobs):
        judged.append(result)
        if not as_json:
            typer.echo(_line(result))
    if not judged:
        raise DataError(f"no series of {data} has test rows", "give a folder with rows of the split 'test'")
    report = _report(judged)
    (out / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report))
        return
    for name, value in report["pooled"].items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"next: see {out / 'metrics.json'}; each series' scores and verdicts are beside it")


def _training(settings: Settings, model: str | None) -> Training:
    known = settings.training
    if model is None:
        return next(iter(known.values())) if len(known) == 1 else Training()
    if model not in known:
        raise ConfigError(f"the configuration has no training.{model[:80]}", f"known: {', '.join(known) or 'none'}")
    return known[model]


def _paths(data: Path) -> list[Path]:
    if not data.is_dir():
        raise DataError(f"there is no folder {data}", "check --data")
    paths = sorted(data.glob("*.parquet"))
    if not paths:
        raise DataError(f"{data} holds no .parquet file", "check --data")
    return paths


def _judge_all(paths: list[Path], training: Training, out: Path, jobs: int) -> Iterator[Judged]:
    """Results in the files' order, as they come."""
    jobs = min(jobs, len(paths))
    if jobs == 1:
        yield from _with_test_rows(paths, (_judge(path, training, out) for path in paths))
        return
    # Processes are spawned, not forked: torch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = pool.map(_judge, paths, [training] * len(paths), [out] * len(paths))
        try:
            yield from _with_test_rows(paths, results)
        except BaseException:  # whatever ended it: series that have not begun need not
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _with_test_rows(paths: list[Path], results: Iterator[Judged | None]) -> Iterator[Judged]:
    for path, result in zip(paths, results, strict=True):
        if result is None:
            print(f"{path.stem}: no test rows, left out", file=sys.stderr)
        else:
            yield result


def _judge(path: Path, training: Training, out: Path) -> Judged | None:
    """One series, in whichever process."""
    series = read_series(path)
    return None if series is None else evaluate_series(series, training, out)


def _report(judged: list[Judged]) -> dict[str, Any]:
    labelled = [result for result in judged if result.counts is not None]
    total = sum((result.counts for result in labelled if result.counts is not None), Counts(0, 0, 0, 0))
    pooled: dict[str, Any] = {"series": len(judged), "rows": sum(result.rows for result in judged)}
    if labelled:
        pooled |= _figures(total)
    for name, values in (("AUC-PR", [r.area for r in labelled]), ("VUS-PR", [r.volume for r in labelled])):
        known = [value for value in values if value is not None]
        if known:
            pooled[name] = round(sum(known) / len(known), 4)
    return {
        "pooled": pooled,
        "series": {
            result.name: {
                "rows": result.rows,
                "anomalous": result.anomalous,
                "threshold": result.threshold,
                **(_figures(result.counts) if result.counts is not None else {}),
                "AUC-PR": None if result.area is None else round(result.area, 4),
                "VUS-PR": None if result.volume is None else round(result.volume, 4),
            }
            for result in judged
        },
    }


def _figures(counts: Counts) -> dict[str, float]:
    return {
        "F1": round(counts.f1, 4),
        "FAR": round(100 * counts.false_alarm_rate, 2),
        "MAR": round(100 * counts.missed_alarm_rate, 2),
    }


def _line(result: Judged) -> str:
    text = f"{result.name:<28} rows {result.rows:>6}"
    if result.counts is not None:
        figures = _figures(result.counts)
        text += f"  F1 {figures['F1']:.3f}  FAR {figures['FAR']:5.1f} %  MAR {figures['MAR']:5.1f} %"
    if result.area is not None and result.volume is not None:
        text += f"  AUC-PR {result.area:.3f}  VUS-PR {result.volume:.3f}"
    return text
