"""VUS-PR agrees with the published implementation's figures and with what it is meant to reward."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trainer.metrics.vus import volume_under_pr
from trainer.metrics.vus_buffer import buffer_of

TOOL = Path(__file__).resolve().parents[4] / "shared" / "tools" / "skab_eval.py"


def made(rows: int, events: list[tuple[int, int]], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with events (begin, end exclusive), and scores that know a little of them."""
    labels = np.zeros(rows, bool)
    for begin, end in events:
        labels[begin:end] = True
    rng = np.random.default_rng(seed)
    around = np.convolve(labels, np.ones(15) / 15, mode="same")
    return labels, rng.normal(size=rows) + 1.5 * around


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The judges' own tool."""
    if not TOOL.exists():
        pytest.skip("../shared/tools/skab_eval.py is not on this machine")
    spec = importlib.util.spec_from_file_location("skab_eval", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("rows", "events"),
    [
        (800, [(300, 500)]),
        (800, [(0, 40), (760, 800)]),
        (1500, [(200, 203), (215, 216), (240, 300), (290, 310), (700, 701)]),
        (120, [(50, 60)]),
        (300, [(0, 299)]),
    ],
)
@pytest.mark.parametrize("buffer", [0, 1, 7, 100])
def test_agrees_with_the_published_figures(
    tool: ModuleType, rows: int, events: list[tuple[int, int]], buffer: int
) -> None:
    """The same number, with ties, at the ends of a series, and where shoulders meet."""
    labels, scores = made(rows, events, rows)
    for given in (scores, np.round(scores)):
        assert volume_under_pr(labels, given, buffer) == pytest.approx(tool.vus(labels, given, buffer)[0], rel=1e-9)


def test_a_known_figure() -> None:
    """The figure that the published implementation gives for one series, for machines where it is not at hand."""
    assert volume_under_pr(*made(800, [(300, 340), (600, 660)], 3)) == pytest.approx(0.586268, abs=1e-6)


def test_without_a_buffer_one_event_gives_average_precision() -> None:
    """With as many thresholds as rows and hard edges it is the area under the precision-recall curve."""
    labels, scores = made(240, [(100, 140)], 0)
    assert volume_under_pr(labels, scores, 0) == pytest.approx(average_precision_score(labels, scores))


def test_nearly_in_time_is_better_than_far_off() -> None:
    """A peak just before an event is worth more than one far away, and one inside most; no event, no figure."""
    labels = np.zeros(1000, bool)
    labels[500:520] = True
    found = []
    for place in (505, 490, 100):
        scores = np.zeros(1000)
        scores[place : place + 8] = 1.0
        found.append(volume_under_pr(labels, scores))
    assert found[0] > found[1] > found[2]  # type: ignore[operator]
    assert volume_under_pr(np.zeros(10, bool), np.zeros(10)) is None


@pytest.mark.parametrize("length", [30, 400, 3000])
@pytest.mark.parametrize("period", [2, 17, 120, 380])
def test_the_buffer_is_the_period_as_published(tool: ModuleType, length: int, period: int) -> None:
    """The same number of rows as the judges' tool finds, for clear, noisy, short, long and constant channels."""
    rng = np.random.default_rng(period)
    wave = np.sin(2 * np.pi * np.arange(length) / period)
    for given in (wave, wave + rng.normal(size=length), np.full(length, 3.0)):
        assert buffer_of(given) == tool.period(given)
