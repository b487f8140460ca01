"""`watchkeeper backtest`: the alerts and scores that the daemon would have given for files."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from detector.commands.options import ConfigOption, JsonOption
from detector.commands.tables import print_table
from detector.config import load_settings
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.daemon.swaps import load_current
from detector.disk import make_out
from detector.errors import NothingScored
from schemas.alert import AlertKind, AlertState
from trainer.data.sources import data_files
from trainer.metrics.rows import Counts, count
from trainer.replay.backtest import BacktestResult, ScoreFile, backtest_settings, run_file, verdicts

DAY_S = 86400.0


def backtest(
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="JSON-lines, Parquet or CSV file, or a folder. May be repeated.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for scores.parquet, alerts.jsonl and metrics.json.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay files through the daemon's own core with the models in use, and write the alerts and scores it gives.

    JSON lines are read as raw records (the line's number is the offset); rows of tables count as one record each. So
    alerts and their ids are those the daemon gives when the same records lie in one partition. Silence is measured on
    the files' own time. With a column `label` (1 is anomalous) precision and recall of rows are counted as well.
    Where nothing was scored it ends with exit code 6 and says why.
    """
    settings = backtest_settings(load_settings(config))
    files = data_files(data)
    scorers = load_current(settings)
    if not as_json:
        used = ", ".join(f"{name} {scorer.manifest.model_version}" for name, scorer in scorers.items())
        typer.echo(f"replaying {len(files)} file(s) through {used}; results go to {out}")
    make_out(out)
    watch = Watch(WatchSettings.of(settings), scorers, by_feed=True, topic=settings.topics.input)
    result, counts = BacktestResult(), Counts(0, 0, 0, 0)
    labelled = False
    with closing(ScoreFile(out / "scores.parquet")) as scores:
        for path in files:
            begin = result.records
            labels = run_file(watch, path, result, scores)
            if labels is not None:
                labelled = True
                counts += count(labels, verdicts(result, begin, len(labels)))
    lines = "".join(alert.model_dump_json() + "\n" for alert in result.alerts)
    (out / "alerts.jsonl").write_text(lines, encoding="utf-8")
    figures = _figures(result, watch) | (_against_labels(counts) if labelled else {})
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        print_table([(name.replace("_", " "), str(value)) for name, value in figures.items()])
    if (fault := result.tally.nothing_scored(watch.unwatched)) is not None:
        raise NothingScored(*fault)
    if not as_json:
        typer.echo(
            f"next: read {out / 'alerts.jsonl'}; to move the threshold, set training.<model>.threshold and train"
        )


def _figures(result: BacktestResult, watch: Watch) -> dict[str, Any]:
    opened = [alert.data for alert in result.alerts if alert.data.state is AlertState.OPENED]
    process = sum(data.kind is AlertKind.PROCESS for data in opened)
    days = (result.last_s - result.first_s) / DAY_S if result.assets else 0.0
    asset_days = days * max(len(result.assets), 1)
    return {
        "records": result.records,
        "scored": result.scored,
        "above_threshold": result.above,
        "dead_letters": result.dead_letters,
        "unwatched_records": sum(watch.unwatched.values()),
        "assets": len(result.assets),
        "days": round(days, 4),
        "process_alarms": process,
        "quality_alarms": len(opened) - process,
        "process_alarms_per_asset_and_day": round(process / asset_days, 4) if asset_days else None,
        "retrain_requests": result.requests,
    }


def _against_labels(counts: Counts) -> dict[str, float]:
    figures = {
        "precision": counts.precision,
        "recall": counts.recall,
        "F1": counts.f1,
        "FAR": 100 * counts.false_alarm_rate,
        "MAR": 100 * counts.missed_alarm_rate,
    }
    return {name: float(np.round(value, 4)) for name, value in figures.items()}
