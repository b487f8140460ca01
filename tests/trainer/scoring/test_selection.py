"""`score: auto`: synthetic anomalies are as described, and what finds them is chosen, without a label."""

import numpy as np
import pytest

from detector.core.arrays import Doubles
from schemas.training import ComponentSettings, Training
from tests.support.made_history import fitted_model, made_history, made_values, quick_training
from trainer.bundle.report import write_report
from trainer.recipe import train
from trainer.scoring.injection import AFTER, ANOMALOUS, KINDS, NORMAL, NormalRows, inject
from trainer.scoring.selection import COMPONENT_SETS, beats, candidates, rank


@pytest.mark.parametrize("kind", KINDS)
def test_only_marked_rows_are_changed(kind: str) -> None:
    """Rows outside events stay as they are, events change something, and the same seed makes the same ones."""
    values = made_values(900, 0)
    injected, marks = inject(values, kind, NormalRows.of(values), 8, np.random.default_rng(3))
    again, _ = inject(values, kind, NormalRows.of(values), 8, np.random.default_rng(3))
    np.testing.assert_array_equal(injected, again)
    np.testing.assert_array_equal(injected[marks != ANOMALOUS], values[marks != ANOMALOUS])
    assert (injected[marks == ANOMALOUS] != values[marks == ANOMALOUS]).any()
    assert {NORMAL, ANOMALOUS, AFTER} == set(marks.tolist())


def test_the_choice_is_in_the_manifest_the_notes_and_the_report() -> None:
    """The manifest shows each component set and how it did; the chosen one is in use, and the notes name it."""
    manifest = fitted_model("dense", 8, "auto").manifest
    assert manifest.choice is not None
    (chosen,) = (tried for tried in manifest.choice.tried if tried.chosen)
    assert tuple(dict.fromkeys(each.name for each in manifest.scoring.components)) == chosen.components
    assert any(tried.components == ("values",) for tried in manifest.choice.tried)
    assert set(chosen.found) == set(KINDS)
    notes = fitted_model("dense", 8, "auto").notes
    assert any(chosen.score in note for note in notes)
    page = write_report(fitted_model("dense", 8, "auto")).decode()
    assert all(f"<td>{tried.score}</td>" in page for tried in manifest.choice.tried)
    assert page.count("<td>taken</td>") == 1


TRIED = candidates(Training())
CASES = np.array([*KINDS] * 4)  # four draws of each kind


def average_precisions(**leads: float) -> Doubles:
    """0.5 for every candidate and case, give or take a little, and more by a lead for those that are named."""
    found = 0.5 + np.random.default_rng(0).uniform(-0.001, 0.001, (1, len(CASES))) + np.zeros((len(TRIED), 1))
    for row, candidate in enumerate(TRIED):
        found[row] += leads.get("_".join(candidate.names), 0.0)
    return found


def test_the_best_component_set_is_taken() -> None:
    """What leads by far is chosen, the table has each set once, and its own figures stand beside it."""
    taken, choice = rank(TRIED, average_precisions(residual_forecast=0.3, distance=0.1), CASES)
    assert TRIED[taken].names == ("residual", "forecast")
    assert [tried.components for tried in choice.tried if tried.chosen] == [("residual", "forecast")]
    assert {tried.components for tried in choice.tried} == set(COMPONENT_SETS)
    assert len(choice.tried) == len(COMPONENT_SETS)
    means = {tried.components: tried.mean for tried in choice.tried}
    assert means["residual", "forecast"] == pytest.approx(0.8, abs=0.002)
    assert means["values",] == pytest.approx(0.5, abs=0.002)


def test_one_more_component_must_find_more_than_it_costs() -> None:
    """A third component that finds nothing more than two do is left out; one that finds much more is taken."""
    taken, _ = rank(TRIED, average_precisions(residual_forecast=0.3, residual_forecast_distance=0.3005), CASES)
    assert TRIED[taken].names == ("residual", "forecast")
    taken, _ = rank(TRIED, average_precisions(residual_forecast=0.3, residual_forecast_distance=0.31), CASES)
    assert TRIED[taken].names == ("residual", "forecast", "distance")


def test_a_component_set_stands_at_its_best_smoothing() -> None:
    """Of fast and slow the better one is in the table, taken or not; the chain without a model stands with both."""
    found = average_precisions(residual=0.1, forecast=0.05)
    slow = {
        one.names: row
        for row, one in enumerate(TRIED)
        if len(one.components) == 1 and one.components[0].vector_alpha < 1
    }
    found[slow["residual",]] += 0.1
    found[slow["forecast",]] += 0.02
    found[slow["values",]] += 0.02
    taken, choice = rank(TRIED, found, CASES)
    assert taken == slow["residual",]
    scores = {tried.components: tried.score for tried in choice.tried}
    assert scores["residual",] == "residual (slow 0.35), smoothed 0.2"
    assert scores["forecast",] == "forecast (slow 0.35), smoothed 0.2"
    assert scores["values",] == "values + values (slow 0.35), smoothed 0.2"


def test_a_window_of_one_row_forecasts_nothing() -> None:
    """No candidate asks for what a single row cannot give."""
    assert all("forecast" not in candidate.names for candidate in candidates(Training(window=1, score="auto")))
    assert any("forecast" in candidate.names for candidate in candidates(Training()))


def test_a_sum_by_hand_is_the_sum_that_was_asked_for() -> None:
    """`score: sum` takes the components as they stand, and chooses nothing."""
    components = (
        ComponentSettings(name="forecast"),
        ComponentSettings(name="values", vector_alpha=0.3),
        ComponentSettings(name="distance"),
    )
    fitted = train(
        made_history(400, 1), "pumps", quick_training(window=4, folds=0, epochs=5, score="sum", components=components)
    )
    found = [(each.name, each.vector_alpha, each.width) for each in fitted.manifest.scoring.components]
    assert found == [("forecast", 1.0, 4), ("values", 0.3, 4), ("distance", 1.0, 1)]
    assert fitted.manifest.choice is None


def test_a_lead_by_chance_is_no_reason_for_a_network() -> None:
    """What is as often worse as better does not replace the chain without a model; what is better every time does."""
    rng = np.random.default_rng(0)
    without = rng.uniform(0.4, 0.8, 24)
    kinds = np.array([*KINDS] * 4)
    assert not beats(without + rng.normal(0.01, 0.1, 24), without, kinds)
    assert beats(without + rng.normal(0.05, 0.02, 24), without, kinds)
