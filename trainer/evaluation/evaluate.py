"""Detection quality: every series trained on its own train rows and judged causally by the daemon's core."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.bundles.loading import OnnxScorer
from detector.core.arrays import Doubles
from schemas.training import Training
from trainer.bundle.result import Fitted
from trainer.data.history import AssetHistory
from trainer.evaluation.baselines import BASELINES, baseline_scores
from trainer.evaluation.judge import MethodResult, MethodScores, judge
from trainer.evaluation.series import Series
from trainer.metrics.alarms import alarm_rules
from trainer.parallel.threads import one_thread
from trainer.recipe import train
from trainer.replay.through_core import score_history

MODEL = "evaluate"
OURS = "watchkeeper"
# The last train rows go before the first test row, so that windows and smoothed scores begin with known rows.
CONTEXT_WINDOWS, CONTEXT_ROWS = 2, 100


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """All that was found of one series."""

    ours: tuple[MethodResult, ...]  # one a seed
    baselines: tuple[MethodResult, ...]  # one each, of the first seed


def evaluate_series(
    series: Series, training: Training, out: Path, seeds: int = 1, processes: int = 1, *, beside: bool
) -> SeriesResult:
    """Trains on the train rows, scores the test rows, and writes NAME.parquet into `out`; beside: baselines too.

    processes: how many networks of a training may be fitted at a time.
    Of several seeds the first is in `out` itself, the others in seed-N.
    """
    with one_thread():
        ours = [_ours(series, training, out, number, processes) for number in range(seeds)]
        others = [judge(series, baseline_scores(name, series, training)) for name in BASELINES] if beside else []
    return SeriesResult(tuple(ours), tuple(others))


def _ours(series: Series, training: Training, out: Path, number: int, processes: int) -> MethodResult:
    seeded = training.model_copy(update={"seed": training.seed + number})
    scores = method_scores(series, train(series.train, MODEL, seeded, processes=processes))
    _write(series, scores, out / f"seed-{seeded.seed}" if number else out)
    return judge(series, scores)


def method_scores(series: Series, fitted: Fitted) -> MethodScores:
    """The product's scores of the test rows, and what raises an alarm."""
    calibration, timing = fitted.manifest.calibration, fitted.manifest.timing
    by = alarm_rules(calibration.threshold, calibration.lower_threshold, timing.on_delay_s, timing.off_delay_s)
    return MethodScores(OURS, score_series(series, fitted), by, fitted.manifest.max_gap_s)


def score_series(series: Series, fitted: Fitted) -> Doubles:
    """The daemon's scores of the test rows, (row,); NaN where it gives none."""
    known = series.train.assets[0]
    before = CONTEXT_WINDOWS * fitted.manifest.window + CONTEXT_ROWS if series.follows else 0
    begins = max(len(known.times) - before, 0)
    times = np.concatenate([known.times[begins:], series.times])
    values = np.concatenate([known.values[begins:], series.values])
    asset = AssetHistory(series.name, times, values)
    history = replace(series.train, assets=(asset,))
    scores, _ = score_history(OnnxScorer(fitted.manifest, fitted.graph), history)
    return scores[-len(series.times) :]


def _write(series: Series, method: MethodScores, out: Path) -> None:
    scores = method.carried
    verdicts = pa.array((scores > method.rules.threshold).astype(np.int8))
    table = {"timestamp": series.stamps, "score": pa.array(scores), "pred": verdicts}
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), out / f"{series.name}.parquet", compression="zstd")
