"""The explanation names the sensor that was harmed, and page, figures and tables say the same."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from detector.bundles.loading import OnnxScorer
from schemas.config import Alarms
from tests.support.made_history import SENSORS, START, fitted_model, made_values
from tests.trainer.evaluation.test_report import Tables
from trainer.data.history import AssetHistory, History
from trainer.explain import Explained, explain
from trainer.explain.latent import clusterings, correlations, plane
from trainer.explain.output import write


def made(*, harmed: bool = True) -> History:
    """Two pumps; the pressure of the second leaves the others for a minute."""
    assets = []
    for number, name in enumerate(("pump-1", "pump-2")):
        values = made_values(400, 30 + number)
        if harmed and number:
            values[200:260, 1] += 14
        assets.append(AssetHistory(name, START + np.arange(400.0), values))
    return History(SENSORS, tuple(assets), "synthetic")


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV file by column."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found() -> Explained:
    """The harmed history, looked into with the model of healthy ones."""
    fitted = fitted_model("dense")
    return explain(OnnxScorer(fitted.manifest, fitted.graph), made(), Alarms())


def test_the_strongest_alarm_is_the_fault_and_names_its_sensor(found: Explained) -> None:
    """Asset, time and sensor are right, the sign says that it was too high, and the rest is small."""
    episode = found.episode
    assert episode.incident is not None
    assert episode.asset == "pump-2"
    assert abs(episode.begin_s - START - 200) < 15
    assert START + 260 <= episode.end_s < START + 300
    assert episode.shares[0].sensor == "pressure"
    assert episode.shares[0].contribution > 0.5
    assert sum(abs(one.contribution) for one in episode.shares) == pytest.approx(1.0, abs=0.01)
    inside = (episode.times >= START + 210) & (episode.times < START + 255)
    gap = episode.observed[inside, 1] - episode.reconstruction[inside, 1]
    assert gap.mean() > 5, "measured stands above rebuilt"


def test_an_alarm_that_is_still_open_lasts_to_the_end_of_the_data() -> None:
    """Not to the last alert of it."""
    fitted = fitted_model("dense")
    cut = made().between(START, START + 240)
    assert explain(OnnxScorer(fitted.manifest, fitted.graph), cut, Alarms()).episode.end_s == START + 239


def test_without_an_alarm_the_strangest_window_is_shown() -> None:
    """A quiet history has an explanation too."""
    fitted = fitted_model("dense")
    calm = fitted.manifest.model_copy(
        update={"calibration": fitted.manifest.calibration.model_copy(update={"threshold": 1e6})}
    )
    quiet = explain(OnnxScorer(calm, fitted.graph), made(harmed=False), Alarms())
    assert quiet.episode.incident is None
    assert quiet.episode.peak == np.nanmax(quiet.view.scores)
    assert len(quiet.episode.shares) == len(SENSORS)


def test_a_sensor_that_the_graph_does_not_hear_has_no_influence(found: Explained) -> None:
    """Values of sensors that follow one load cannot be exchanged unseen; of one that stands still they can."""
    assert all(one.score_ratio > 1.2 for one in found.influences)
    still = made(harmed=False)
    for asset in still.assets:
        asset.values[:, 3] = asset.values[0, 3]
    fitted = fitted_model("dense")
    again = explain(OnnxScorer(fitted.manifest, fitted.graph), still, Alarms()).influences
    heat = next(one for one in again if one.sensor == "heat")
    assert heat.score_ratio == pytest.approx(1.0, abs=0.1)
    assert heat is again[-1]


def test_planes_correlations_and_clusters_are_what_they_say() -> None:
    """Two far groups along one line: one direction, features that go together, and two clusters far apart."""
    rng = np.random.default_rng(0)
    side = np.repeat([-5.0, 5.0], [60, 40])
    points = np.stack([side, -2 * side], axis=1) + rng.normal(scale=0.1, size=(100, 2))
    assert plane(points).shares[0] > 0.99
    np.testing.assert_allclose(np.abs(correlations(points)), 1.0, atol=0.01)
    best = max(clusterings({"code": points}), key=lambda each: each.silhouette)
    assert (best.centres, best.sizes) == (2, (60, 40))
    assert best.silhouette > 0.95
    assert plane(points[:, :1]).points.shape == (100, 2), "a code of one feature lies on a line"
    assert clusterings({"code": np.ones((50, 2))}) == [], "points that are all one have no clusters"


def test_page_figures_and_tables_say_the_same(found: Explained, tmp_path: Path) -> None:
    """The page stands alone and speaks; its numbers are those of explain.json; every window and row is in the CSVs."""
    write(found, tmp_path)
    page = (tmp_path / "explain.html").read_bytes()
    seen = Tables(page)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in seen.addresses)
    assert not re.search(rb"url\(|@import|https?://", page)
    assert seen.pictures == len(seen.addresses) > 8
    assert all(seen.spoken)
    printed = json.loads((tmp_path / "explain.json").read_text("utf-8"))
    names = ("score_ratio", "code_shift", "score_ratio_1sd_up", "score_ratio_1sd_down")
    expected = [[one["sensor"], *(f"{one[name]:.2f}" for name in names)] for one in printed["sensitivity"]]
    assert seen.tables["sensitivity"][1:] == expected
    assert [row[2] for row in seen.tables["clusters"][1:]] == [f"{c['silhouette']:.3f}" for c in printed["clusters"]]
    assert printed["incident"]["contributions"]["pressure"] > 0.5
    assert printed["alarms"] >= 1
    windows, incident = (rows_of(tmp_path / name) for name in ("windows.csv", "incident.csv"))
    assert len(windows) == printed["looked_at"]
    assert len(incident) == len(found.episode.times)
    assert float(incident[0]["pressure rebuilt"]) == pytest.approx(float(found.episode.reconstruction[0, 1]), rel=1e-5)
