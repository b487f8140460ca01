"""Members fitted in processes of their own are those that are fitted one after the other."""

import pytest

from tests.support.made_history import made_history, quick_training
from trainer.fitting import crew
from trainer.recipe import train


class Noted:
    """Progressing, written down."""

    def __init__(self) -> None:
        self.fits: dict[str, list[str]] = {}

    def begin(self, name: str, epochs: int) -> None:
        self.fits[name] = [f"{epochs} at most"]

    def epoch(self, name: str, epoch: int, train: float, validation: float) -> None:
        self.fits[name].append(f"{epoch}: {train:.9g} {validation:.9g}")

    def done(self, name: str, best_epoch: int, validation: float) -> None:
        self.fits[name].append(f"best {best_epoch}: {validation:.9g}")


def test_the_bundle_does_not_depend_on_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, and each fit tells what it did, epoch by epoch, in its order."""
    history = made_history(300)
    training = quick_training(window=4, folds=2, epochs=3, score="auto")
    alone, beside = Noted(), Noted()
    first = train(history, "pumps", training, say=alone, processes=1)
    monkeypatch.setattr(crew, "FROM_WINDOWS", 0)
    monkeypatch.setattr(crew, "fit_member", None)  # of this process: nothing is fitted in it
    second = train(history, "pumps", training, say=beside, processes=2)
    assert second.files == first.files
    assert second.manifest.calibration == first.manifest.calibration
    assert second.curves == first.curves
    assert beside.fits == alone.fits
    assert set(alone.fits) == {
        f"{name}{kind}" for name in ("model", "fold 1", "fold 2") for kind in ("", ", forecaster")
    }


def test_a_short_history_begins_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading torch would take longer than it saves."""
    monkeypatch.setattr(crew, "side_by_side", None)
    assert train(made_history(300), "pumps", quick_training(window=4, folds=2, epochs=2), processes=2).curves
