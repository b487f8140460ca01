"""A held-out block is scored by what the other blocks know of normal data."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.training import Training
from trainer.fitting.outputs import FoldOutputs
from trainer.scoring.calibrated_score import calibrate_mahalanobis
from trainer.scoring.held_out import HeldOut, join


def held_out(rows: int, sensors: int) -> HeldOut:
    """Three blocks of one asset; only slots, reset_before and block matter here."""
    zeros = np.zeros((rows, sensors))
    reset_before = np.arange(rows) == 0
    block = np.arange(rows) * 3 // rows
    outputs = FoldOutputs(zeros == 0, zeros, np.ones(rows, np.int64), np.zeros(rows), {"residual": zeros})
    return HeldOut(np.arange(rows), np.zeros(rows, np.int64), reset_before, block, outputs)


def test_a_block_is_judged_by_the_others() -> None:
    """A block that differs from the others scores high: its own covariance does not excuse it."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(900, 3)).astype(np.float32)
    errors[600:, 0] += 3.0
    scoring, scores = calibrate_mahalanobis(held_out(900, 3), errors, np.ones(3), Training(score="mahalanobis"))
    assert scores[650:].mean() > 3 * scores[:550].mean()
    assert scoring.center[0] == pytest.approx(1.0, abs=0.3)


def test_one_held_out_part_is_judged_by_halves() -> None:
    """With folds 0 there is one block; its halves judge each other."""
    held = held_out(400, 2)
    single = join([replace(held, block=np.zeros(400, np.int64))])
    errors = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    errors[200:] += 2.0
    _, scores = calibrate_mahalanobis(single, errors, np.ones(2), Training(score="mahalanobis"))
    assert scores[250:].mean() > 2.0
