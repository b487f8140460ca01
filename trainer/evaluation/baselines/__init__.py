"""The baselines that any method must beat: six simple ones, fitted and calibrated as ours are, on train rows alone.

All are causal. The threshold follows the same rule as the product's, from scores of blocks of the train rows that a fit
did not see; alarms follow the same delays.
"""

from collections.abc import Sequence

import numpy as np

from detector.core.arrays import Doubles
from schemas.training import Training
from trainer.calibration.normal_scores import HeldOutScores, timing
from trainer.calibration.thresholds import calibrate_threshold
from trainer.data.history import median_step
from trainer.evaluation.baselines.chain import chain
from trainer.evaluation.baselines.forest import forest
from trainer.evaluation.baselines.interface import Baseline, Score
from trainer.evaluation.baselines.kmeans import kmeans
from trainer.evaluation.baselines.pca import pca
from trainer.evaluation.baselines.persistence import persistence
from trainer.evaluation.baselines.zscore import zscore
from trainer.evaluation.judge import MethodScores
from trainer.evaluation.series import Series
from trainer.metrics.alarms import alarm_rules, gaps
from trainer.replay.prepare import GAP_PERIODS

CHAIN = "chain without a model"
BASELINES: dict[str, Baseline] = {
    CHAIN: chain,
    "PCA": pca,
    "k-means distance": kmeans,
    "isolation forest": forest,
    "moving z-score": zscore,
    "persistence": persistence,
}

BLOCKS = 3  # of the train rows
CLIP = 20.0  # standard deviations: beyond it a value is far out, and no more


def baseline_scores(name: str, series: Series, training: Training) -> MethodScores:
    """The scores of a series' test rows by the baseline of that name, calibrated as ours are."""
    known = series.train.assets[0].values.astype(np.float64)
    blocks = np.array_split(known, BLOCKS)
    held = []
    for number, block in enumerate(blocks):
        rest = [np.concatenate(part) for part in (blocks[:number], blocks[number + 1 :]) if part]
        held.append(_fit(BASELINES[name], rest, training.seed)(block))
    period, times = training.period_s or median_step(series.train), series.train.assets[0].times
    max_gap_s = training.max_gap_s or GAP_PERIODS * period
    delays = timing(training.threshold, period)
    one_asset = np.zeros(len(times), np.int64)
    normal = HeldOutScores(np.concatenate(held), one_asset, times, gaps(times, max_gap_s), period, delays)
    calibration = calibrate_threshold(normal, training.threshold)
    score = _fit(BASELINES[name], [known], training.seed)
    before = known if series.follows else known[:0]
    scores = score(np.concatenate([before, series.values.astype(np.float64)]))[len(before) :]
    by = alarm_rules(calibration.threshold, calibration.lower_threshold, delays.on_delay_s, delays.off_delay_s)
    return MethodScores(name, scores, by, max_gap_s)


def _fit(baseline: Baseline, known: Sequence[Doubles], seed: int) -> Score:
    """Standardises by the rows fitted on; a missing value counts as their mean."""
    rows = np.concatenate(known)
    there = ~np.isnan(rows)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, rows, 0.0).sum(axis=0) / count
    sd = np.sqrt((np.where(there, rows - mean, 0.0) ** 2).sum(axis=0) / count)
    sd = np.where(sd > 1e-6 * np.maximum(np.abs(mean), 1e-6), sd, 1.0)

    def standard(values: Doubles) -> Doubles:
        return np.asarray(np.nan_to_num(np.clip((values - mean) / sd, -CLIP, CLIP)))

    score = baseline([standard(part) for part in known], seed)
    return lambda values: score(standard(values))
