"""What every family promises of a trained bundle, whatever its window and score."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from detector.bundles.loading import OnnxScorer, load_bundle
from detector.bundles.store import Store
from detector.core.scoring import ScoreSmoother
from detector.errors import DataError
from schemas.manifest import Golden
from tests.support.made_history import SENSORS, fitted_model, made_history, made_values, quick_training
from trainer.bundle.publish import publish
from trainer.bundle.result import Fitted
from trainer.networks import FAMILIES
from trainer.recipe import train

CASES = [*((family, 8, "mahalanobis") for family in FAMILIES), ("dense", 1, "window"), ("conv", 8, "last_row")]
CASES += [("variational", 8, "window"), ("dense", 8, "auto"), ("dense", 1, "auto")]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def fitted(request: pytest.FixtureRequest) -> Fitted:
    """A bundle of each family."""
    family, window, score = request.param
    return fitted_model(family, window, score)


def windows_of(values: np.ndarray, window: int) -> np.ndarray:
    """All windows of consecutive rows, (window, row, sensor)."""
    return np.stack([values[i : i + window] for i in range(len(values) - window + 1)])


def final_scores(fitted: Fitted, values: np.ndarray) -> np.ndarray:
    """Scores of one asset's rows through the detector's scorer and chain."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    smoother = ScoreSmoother(fitted.manifest.scoring, len(SENSORS))
    windows = windows_of(values, fitted.manifest.window)
    reset_before = np.arange(len(windows)) == 0
    return smoother.advance(np.zeros(len(windows), np.int64), smoother.ask(scorer, windows), reset_before)[0]


def test_bundle_is_accepted_by_the_detector(fitted: Fitted, tmp_path: Path) -> None:
    """What the trainer publishes passes the detector's hashes, signature and golden check, and is in use at once."""
    store = Store(str(tmp_path))
    path, promoted = publish(store, fitted, None)
    manifest = fitted.manifest
    scorer = load_bundle(store, "pumps", manifest.model_version)
    assert promoted
    assert store.pointer("pumps") is not None
    assert scorer.manifest == manifest
    assert (Path(path) / "report.html").stat().st_size > 1000


def test_second_version_waits_for_a_decision(tmp_path: Path) -> None:
    """A later version is published, but the one in use stays until somebody promotes it."""
    store, fitted = Store(str(tmp_path)), fitted_model("dense")
    publish(store, fitted, None)
    later = fitted.manifest.model_copy(update={"model_version": "later"})
    _, promoted = publish(store, replace(fitted, manifest=later), None)
    pointer = store.pointer("pumps")
    assert not promoted
    assert pointer is not None
    assert pointer.model_version == fitted.manifest.model_version


def test_golden_file_covers_missing_cells(fitted: Fitted) -> None:
    """The golden windows hold normal cases, missing cells, and one that stands out."""
    golden = Golden.model_validate_json(fitted.golden)
    cells = np.array(golden.windows, np.float32)
    assert np.isnan(cells).any()
    assert np.isnan(cells[-1, :, 0]).all()
    assert np.abs(golden.sensor_error).max() > 2
    assert "NaN" not in json.dumps(golden.model_dump(mode="json"))


def test_equal_input_gives_equal_output(fitted: Fitted) -> None:
    """The same window gives the same score, alone or among others."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    windows = windows_of(made_values(60, 7), fitted.manifest.window)
    np.testing.assert_allclose(scorer.score(windows)[11:12], scorer.score(windows[11:12]), rtol=1e-5)
    np.testing.assert_array_equal(scorer.score(windows), scorer.score(windows.copy()))


def test_fresh_normal_data_stay_below(fitted: Fitted) -> None:
    """On normal data of the same plant that no fit has seen, scores above the threshold are about as rare as said."""
    assert (final_scores(fitted, made_values(4000, 77)) > fitted.threshold).mean() < 0.01
    assert fitted.manifest.metrics["held_out_above_threshold"] <= 0.001


def test_a_shift_of_any_sensor_raises_the_score(fitted: Fitted) -> None:
    """A constant shift by many standard deviations of one sensor is above the threshold, and that sensor leads."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    values = made_values(200, 5)
    calm = final_scores(fitted, values)
    for column in range(len(SENSORS)):
        shifted = values.copy()
        shifted[100:, column] += 6 * values[:, column].std()
        scores = final_scores(fitted, shifted)
        assert scores[-50:].mean() > 2 * calm[-50:].mean()
        assert scores[-50:].min() > fitted.threshold
        errors = scorer.sensor_error(windows_of(shifted, fitted.manifest.window))[-50:].mean(axis=0)
        assert np.abs(errors).argmax() == column
        assert errors[column] > 0


def test_missing_cells_alone_are_no_anomaly(fitted: Fitted) -> None:
    """Normal rows of which every tenth cell is missing stay rare above the threshold."""
    values = made_values(600, 9)
    holes = np.random.default_rng(1).random(values.shape) < 0.1
    holes &= ~holes.all(axis=1, keepdims=True)
    blinded = np.where(holes, np.nan, values).astype(np.float32)
    assert (final_scores(fitted, blinded) > fitted.threshold).mean() < 0.05


def test_missing_cell_has_no_error(fitted: Fitted) -> None:
    """`sensor_error` is exactly 0 where the last row's cell is missing, and the expected value is finite."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    windows = windows_of(made_values(40, 3), fitted.manifest.window)
    windows[:, -1, 1] = np.nan
    assert (scorer.sensor_error(windows)[:, 1] == 0).all()
    assert np.isfinite(scorer.explain(windows).expected).all()
    windows[:] = np.nan
    assert np.isfinite(scorer.score(windows)).all()


def test_wild_values_stay_finite(fitted: Fitted) -> None:
    """The largest float32 gives a finite score far above the threshold, never NaN."""
    values = made_values(120, 4)
    values[60:, 2] = 3e38
    scores = final_scores(fitted, values)
    assert np.isfinite(scores).all()
    assert scores[-1] > 2 * fitted.threshold


def test_reconstruction_is_in_engineering_units(fitted: Fitted) -> None:
    """Of normal windows the reconstruction is close to what was observed, sensor by sensor."""
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    windows = windows_of(made_values(300, 8), fitted.manifest.window)
    rebuilt, latent = scorer.reconstruct(windows)
    assert latent.shape == (len(windows), fitted.manifest.latent)
    error = np.sqrt(((rebuilt - windows) ** 2).mean(axis=(0, 1)))
    assert (error < 0.6 * windows.std(axis=(0, 1))).all()


def test_recurrent_graphs_keep_their_operators() -> None:
    """LSTM and GRU are exported as one operator a layer, not row by row: a long window makes no long graph."""
    for family, operator in (("lstm", "LSTM"), ("gru", "GRU")):
        graph = onnx.load_from_string(fitted_model(family).graph).graph
        assert [node.op_type for node in graph.node].count(operator) == 2


def test_log_and_scalings_are_in_the_graph() -> None:
    """A sensor under log1p and robust or min-max scaling is rebuilt in its own units."""
    sensors = {name: {"log1p": name == "power", "scaling": "robust" if name == "heat" else None} for name in SENSORS}
    training = quick_training(window=2, scaling="minmax", imputation="median", sensors=sensors, learning_rate=5e-3)
    fitted = train(made_history(500, 1), "pumps", training)
    windows = windows_of(made_values(100, 100), 2)
    rebuilt, _ = OnnxScorer(fitted.manifest, fitted.graph).reconstruct(windows)
    assert np.abs(rebuilt.mean(axis=(0, 1)) / windows.mean(axis=(0, 1)) - 1).max() < 0.1


def test_directions_changes_and_neighbours_are_in_the_graph() -> None:
    """What is said of a sensor holds in the bundle: only its direction counts, only beyond its deadband, and
    holes filled from neighbours are no anomaly. Training itself holds onnxruntime to torch on holes and shifts.
    """
    sensors = {"flow": {"direction": "high"}, "pressure": {"deadband": 4.0}, "power": {"difference": True},
               "heat": {"direction": "low", "weight": 4.0}}  # fmt: skip
    training = quick_training(
        window=4, family="linear", imputation="knn", score="mahalanobis", folds=2, sensors=sensors
    )
    fitted = train(made_history(600, 1), "pumps", training)
    calm = made_values(300, 9)
    before = final_scores(fitted, calm)[-50:].max()
    for column, shift, heard in ((0, 12.0, True), (0, -12.0, False), (1, 3.0, False), (1, 12.0, True),
                                 (3, 6.0, False), (3, -6.0, True)):  # fmt: skip
        shifted = calm.copy()
        shifted[200:, column] += shift
        scores = final_scores(fitted, shifted)[-50:]
        assert (scores.min() > fitted.threshold) == heard, (SENSORS[column], shift)
        assert heard or scores.max() < 1.5 * max(before, fitted.threshold)
    holes = calm.copy()
    holes[::3, 1] = np.nan
    assert (final_scores(fitted, holes) > fitted.threshold).mean() < 0.05
    jump = calm.copy()
    jump[200:, 2] += 60.0
    errors = OnnxScorer(fitted.manifest, fitted.graph).sensor_error(windows_of(jump, 4))[:, 2]
    assert errors[200 - 3] > 10
    assert np.abs(errors[201 - 3 :]).max() < 6, "a level that has moved is no change any more"


def test_constant_sensor_is_kept_and_said() -> None:
    """A sensor without spread divides nothing by zero; its change, in its own units, still shows."""
    history = made_history(400, 1)
    history.assets[0].values[:, 1] = 8.0
    fitted = train(history, "pumps", quick_training(window=4))
    assert any("pressure" in note for note in fitted.notes)
    assert np.isfinite(fitted.scores).all()
    windows = windows_of(made_values(20, 0), 4)
    windows[..., 1] = 8.0
    scorer = OnnxScorer(fitted.manifest, fitted.graph)
    calm = scorer.sensor_error(windows)[:, 1]
    windows[..., 1] = 11.0
    assert np.abs(calm).max() < 0.5
    assert (scorer.sensor_error(windows)[:, 1] > 2.0).all()
    assert fitted.manifest.sensors[1].stuck_rows is None


def test_history_that_does_not_suit_is_refused_by_name() -> None:
    """An empty column, too few rows and an unknown sensor are each one DataError that names thing and remedy."""
    history = made_history(400, 1)
    history.assets[0].values[:, 2] = np.nan
    with pytest.raises(DataError, match="no value at all of power"):
        train(history, "pumps", quick_training())
    with pytest.raises(DataError, match="no window of 50 rows"):
        train(made_history(40, 2), "pumps", quick_training(window=50))
    with pytest.raises(DataError, match="are left to fit on"):
        train(made_history(70, 1), "pumps", quick_training(window=20))
    with pytest.raises(DataError, match="no sensor 'speed'"):
        train(history, "pumps", quick_training(sensors={"speed": {}}))


def test_same_history_and_seed_give_the_same_model() -> None:
    """Two trainings agree in every figure, and leave the caller's random numbers alone; the parent is written down."""
    history, training = made_history(300, 1), quick_training(window=2, epochs=3)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = train(history, "pumps", training, parent="before")
    assert torch.equal(torch.rand(2), expected)
    second = train(history, "pumps", training)
    assert first.curves == second.curves
    assert first.manifest.calibration == second.manifest.calibration
    assert (first.manifest.parent_version, second.manifest.parent_version) == ("before", None)
    assert first.manifest.training.fingerprint == history.fingerprint()
    assert first.manifest.libraries["torch"] == torch.__version__.split("+")[0]
