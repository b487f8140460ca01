"""`score: auto`: anomalies are made up as said, and what is chosen is what finds them, without a label."""

import numpy as np
import pytest

from schemas.training import ComponentSettings, Training
from tests.support.made_history import fitted_model, made_history, made_values, quick_training
from trainer.bundle.report import write_report
from trainer.recipe import train
from trainer.scoring.injection import AFTER, ANOMALOUS, KINDS, NORMAL, NormalRows, inject
from trainer.scoring.selection import beats, candidates


@pytest.mark.parametrize("kind", KINDS)
def test_only_marked_rows_are_spoiled(kind: str) -> None:
    """Rows outside events stay as they are, events change something, and the same seed makes the same ones."""
    values = made_values(900, 0)
    injected, marks = inject(values, kind, NormalRows.of(values), 8, np.random.default_rng(3))
    again, _ = inject(values, kind, NormalRows.of(values), 8, np.random.default_rng(3))
    np.testing.assert_array_equal(injected, again)
    np.testing.assert_array_equal(injected[marks != ANOMALOUS], values[marks != ANOMALOUS])
    assert (injected[marks == ANOMALOUS] != values[marks == ANOMALOUS]).any()
    assert {NORMAL, ANOMALOUS, AFTER} == set(marks.tolist())


def test_the_choice_is_the_best_of_what_was_tried() -> None:
    """The manifest shows each mixture and how it did; the chosen one is in use, and the notes name both."""
    manifest = fitted_model("dense", 8, "auto").manifest
    assert manifest.choice is not None
    (chosen,) = (tried for tried in manifest.choice.tried if tried.chosen)
    assert tuple(dict.fromkeys(part.name for part in manifest.scoring.components)) == chosen.components
    assert chosen.components == ("values",) or chosen.mean > max(tried.mean for tried in manifest.choice.tried) - 0.01
    assert any(tried.components == ("values",) for tried in manifest.choice.tried)
    assert set(chosen.found) == set(KINDS)
    notes = fitted_model("dense", 8, "auto").notes
    assert any(chosen.score in note for note in notes)
    page = write_report(fitted_model("dense", 8, "auto")).decode()
    assert all(f"<td>{tried.score}</td>" in page for tried in manifest.choice.tried)
    assert page.count("<td>taken</td>") == 1


def test_a_window_of_one_row_forecasts_nothing() -> None:
    """No candidate asks for what a single row cannot give."""
    assert all("forecast" not in candidate.names for candidate in candidates(Training(window=1, score="auto")))
    assert any("forecast" in candidate.names for candidate in candidates(Training()))


def test_a_sum_by_hand_is_the_sum_that_was_asked_for() -> None:
    """`score: sum` takes the parts as they stand, and chooses nothing."""
    components = (
        ComponentSettings(name="forecast"),
        ComponentSettings(name="values", vector_alpha=0.3),
        ComponentSettings(name="distance"),
    )
    fitted = train(
        made_history(400, 1), "pumps", quick_training(window=4, folds=0, epochs=5, score="sum", components=components)
    )
    told = [(part.name, part.vector_alpha, part.width) for part in fitted.manifest.scoring.components]
    assert told == [("forecast", 1.0, 4), ("values", 0.3, 4), ("distance", 1.0, 1)]
    assert fitted.manifest.choice is None


def test_a_lead_by_chance_is_no_reason_for_a_network() -> None:
    """What is as often worse as better does not replace the chain without a model; what is better every time does."""
    rng = np.random.default_rng(0)
    without = rng.uniform(0.4, 0.8, 24)
    kinds = np.array([*KINDS] * 4)
    assert not beats(without + rng.normal(0.01, 0.1, 24), without, kinds)
    assert beats(without + rng.normal(0.05, 0.02, 24), without, kinds)
