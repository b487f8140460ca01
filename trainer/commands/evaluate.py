"""`watchkeeper evaluate`: detection quality on a folder of labelled series."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.commands.tables import print_table
from detector.config import load_settings
from detector.disk import make_out
from detector.errors import ConfigError, DataError
from schemas.config import Settings
from schemas.training import Training
from trainer.evaluation.evaluate import OURS, SeriesResult, evaluate_series
from trainer.evaluation.judge import MethodResult
from trainer.evaluation.scoreboard import pooled, scoreboard
from trainer.evaluation.series import read_series
from trainer.evaluation.tsb_ad import MANIFEST, as_tsb_ad, train_rows
from trainer.parallel.pool import Send, parallel_map, processors

BESIDE = ("F1", "FAR", "MAR", "AUC-PR", "VUS-PR", "NAB")  # figures of the methods in one table


class Protocol(StrEnum):
    """What is trained on and what is judged."""

    SPLIT = "split"
    TSB_AD = "tsb-ad"


@dataclass(frozen=True, slots=True)
class _Task:
    """One series, for whichever process takes it."""

    path: Path
    training: Training
    out: Path
    seeds: int
    beside: bool
    rows: int | None  # trained on, the TSB-AD way; None: the split's


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
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a series; figures are their means, with spread.")] = 1,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Judge six simple methods beside ours, by the same rules.")
    ] = False,
    protocol: Annotated[
        Protocol, typer.Option(help="tsb-ad: train on the first test rows, score all of them (see docs).")
    ] = Protocol.SPLIT,
    rows: Annotated[
        int | None, typer.Option("--train-rows", min=1, help="For tsb-ad; without it, the folder's manifest.json.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write OUT/report.html too: tables beside published figures, and pictures.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            show_default="the processors there are",
            help="Processes: series at a time, or of few series also their networks.",
        ),
    ] = processors(),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure detection on labelled series: train on each one's train rows, judge its test rows as the daemon would.

    A series is a Parquet file with `timestamp`, numeric sensors, `split` (train, test) and perhaps `label` (1 is
    anomalous). A fresh model is trained per series; its threshold comes from held-out train rows alone, and each test
    row is judged from rows up to it (labels are read only to count). Writes one NAME.parquet a series and metrics.json.

    F1, FAR (share of normal rows alarmed) and MAR (share of anomalous rows missed) are pooled over all test rows;
    AUC-ROC, AUC-PR and VUS-PR (Paparrizos et al. 2022, buffer of 100 rows) are means over series; NAB is the standard
    score of that benchmark by the alarms; events and alarms are counted as the daemon would raise them. What
    says ORACLE had its threshold chosen on the labels. docs/explanation/evaluating-honestly.md says more.
    """
    training = _training(load_settings(config), model)
    tasks = _tasks(data, training, out, seeds, baselines, rows, protocol)
    make_out(out)
    if not as_json:
        typer.echo(f"evaluating {len(tasks)} series of {data}: window {training.window}, family {training.family}")
    found = []
    for result in _judge_all(tasks, jobs):
        found.append(result)
        if not as_json:
            typer.echo(_line(result.ours[0]))
    if not found:
        raise DataError(f"no series of {data} has test rows", "give a folder with rows of the split 'test'")
    board = scoreboard(found, protocol.value)
    (out / "metrics.json").write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")
    if report:
        from trainer.evaluation.report import write_evaluation

        (out / "report.html").write_bytes(write_evaluation(board, found, training, data.resolve().name))
    if as_json:
        typer.echo(json.dumps(board))
        return
    _print_board(board)
    seen = out / ("report.html" if report else "metrics.json")
    typer.echo(f"next: see {seen}; each series' scores and verdicts are beside it")


def _training(settings: Settings, model: str | None) -> Training:
    known = settings.training
    if model is None:
        return next(iter(known.values())) if len(known) == 1 else Training()
    if model not in known:
        raise ConfigError(f"the configuration has no training.{model[:80]}", f"known: {', '.join(known) or 'none'}")
    return known[model]


def _tasks(
    data: Path, training: Training, out: Path, seeds: int, beside: bool, rows: int | None, protocol: Protocol
) -> list[_Task]:
    if protocol is Protocol.SPLIT:
        return [_Task(path, training, out, seeds, beside, None) for path in _paths(data)]
    known = {} if rows else train_rows(data)
    tasks = [_Task(path, training, out, seeds, beside, rows or known.get(path.stem)) for path in _paths(data)]
    for task in tasks:
        if task.rows is None:
            print(f"{task.path.stem}: {MANIFEST} has no rows to train on for it, left out", file=sys.stderr)
    kept = [task for task in tasks if task.rows is not None]
    if not kept:
        raise DataError(f"no series of {data} has rows to train on in {MANIFEST}", "give --train-rows")
    return kept


def _paths(data: Path) -> list[Path]:
    if not data.is_dir():
        raise DataError(f"there is no folder {data}", "check --data")
    paths = sorted(data.glob("*.parquet"))
    if not paths:
        raise DataError(f"{data} holds no .parquet file", "check --data")
    return paths


def _judge_all(tasks: list[_Task], jobs: int) -> Iterator[SeriesResult]:
    """Results in the files' order, as they come."""
    # Of few series each training has several processes.
    work = partial(_judge, max(jobs // len(tasks), 1))
    if jobs == 1 or len(tasks) == 1:
        yield from _with_test_rows(tasks, map(work, tasks))
        return
    with parallel_map(jobs, work, tasks) as judged:
        yield from _with_test_rows(tasks, judged)


def _with_test_rows(tasks: list[_Task], results: Iterator[SeriesResult | None]) -> Iterator[SeriesResult]:
    for task, result in zip(tasks, results, strict=True):
        if result is None:
            print(f"{task.path.stem}: no test rows, left out", file=sys.stderr)
        else:
            yield result


def _judge(processes: int, task: _Task, _send: Send | None = None) -> SeriesResult | None:
    """One series, in whichever process."""
    series = read_series(task.path)
    if series is None:
        return None
    chosen = series if task.rows is None else as_tsb_ad(series, task.rows)
    return evaluate_series(chosen, task.training, task.out, task.seeds, processes, beside=task.beside)


def _line(result: MethodResult) -> str:
    figures = pooled([result])
    text = f"{result.name:<28} rows {result.rows:>6}"
    if result.counts is not None:
        text += f"  F1 {figures['F1']:.3f}  FAR {figures['FAR']:5.1f} %  MAR {figures['MAR']:5.1f} %"
    if result.area is not None and result.volume is not None:
        text += f"  AUC-PR {result.area:.3f}  VUS-PR {result.volume:.3f}"
    return text


def _print_board(board: dict[str, Any]) -> None:
    """The pooled figures, the methods beside ours, and the verdict."""
    spread = board.get("spread", {})
    known = {name: value for name, value in board["pooled"].items() if value is not None}
    sd = {name: f"sd {spread[name]}" if spread.get(name) else "" for name in known}
    print_table([(name, str(value), sd[name]) for name, value in known.items()])
    if "baselines" in board:
        methods = {OURS: board, **board["baselines"]}
        cells = [(method, *(_cell(one["pooled"].get(name)) for name in BESIDE)) for method, one in methods.items()]
        typer.echo()
        print_table(cells, ("method", *BESIDE))
        typer.echo(board["verdict"])


def _cell(value: float | None) -> str:
    return "-" if value is None else str(value)
