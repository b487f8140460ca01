"""Members fitted in processes of their own are those that are fitted one after the other."""

import pytest

from tests.support.made_history import made_history, quick_training
from trainer.fitting import members
from trainer.parallel.progress import EpochEnded, FitBegan, FitEnded, FitEvent
from trainer.recipe import train


class Noted:
    """A progress callback that writes down each fit's events, in their order."""

    def __init__(self) -> None:
        self.fits: dict[str, list[FitEvent]] = {}

    def __call__(self, event: FitEvent) -> None:
        self.fits.setdefault(event.name, []).append(event)


def test_the_bundle_does_not_depend_on_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, and the same progress of each fit, from its begin over its epochs to its end."""
    history = made_history(300)
    training = quick_training(window=4, folds=2, epochs=3, score="auto")
    alone, beside = Noted(), Noted()
    first = train(history, "pumps", training, on_progress=alone, processes=1)
    monkeypatch.setattr(members, "FROM_WINDOWS", 0)
    monkeypatch.setattr(members, "fit_member", None)  # of this process: nothing is fitted in it
    second = train(history, "pumps", training, on_progress=beside, processes=2)
    assert second.files == first.files
    assert second.manifest.calibration == first.manifest.calibration
    assert second.curves == first.curves
    assert beside.fits == alone.fits
    begin, *epochs, end = (type(event) for event in alone.fits["model"])
    assert (begin, {*epochs}, end) == (FitBegan, {EpochEnded}, FitEnded)
    assert set(alone.fits) == {
        f"{name}{kind}" for name in ("model", "fold 1", "fold 2") for kind in ("", ", forecaster")
    }


def test_a_short_history_begins_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading torch would take longer than it saves."""
    monkeypatch.setattr(members, "parallel_map", None)
    assert train(made_history(300), "pumps", quick_training(window=4, folds=2, epochs=2), processes=2).curves
