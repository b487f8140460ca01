"""The model's report: it stands alone, says what the manifest says, and survives odd models."""

import dataclasses
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from schemas.manifest import Calibration, FileEntry, Manifest, Scoring, Sensor, Timing, TrainingData
from trainer.bundle.report import SENSORS_SHOWN, write_report
from trainer.bundle.result import Example, Fitted
from trainer.fitting.fit import Curve

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


def make_fitted(sensors: int = 4, windows: int = 500) -> Fitted:
    """A fitted model with synthetic numbers."""
    rng = np.random.default_rng(3)
    names = [f"sensor-{number}" for number in range(sensors)]
    entry = FileEntry(sha256="0" * 64, size_bytes=1)
    manifest = Manifest(
        model="pumps",
        model_version="20260120T120000",
        created=NOW,
        family="dense",
        sensors=tuple(Sensor(name=name, unit="bar", low=0.0, high=9.0) for name in names),
        window=10,
        period_s=60.0,
        max_gap_s=600.0,
        fill_limit=0.25,
        latent=3,
        scoring=Scoring(method="graph"),
        calibration=Calibration(
            method="percentile", parameters={"percentile": 99.0}, threshold=4.25, lower_threshold=3.4,
            windows=max(windows, 1), quantiles={"0.5": 1.0}, mean=1.0, sd=0.5,
        ),
        timing=Timing(on_delay_s=300.0, off_delay_s=600.0),
        drift=None,
        training=TrainingData(
            fingerprint="a" * 64, rows=12345, assets=("pump-1", "pump-2"), start=NOW, end=NOW, source="history.parquet"
        ),
        metrics={"validation_loss": 0.0123, "held_out_alarms": 3, "held_out_weeks": 3.5},
        libraries={"torch": "2.9"},
        golden_tolerance=1e-4,
        files={"model.onnx": entry, "golden.json": entry},
    )  # fmt: skip
    times = NOW.timestamp() + 60.0 * np.arange(10, dtype=np.float64)
    observed = rng.normal(5.0, 1.0, (10, sensors)).astype(np.float32)
    return Fitted(
        manifest=manifest,
        files={},
        curves=(Curve("model", (1.0, 0.5, 0.4), (1.1, 0.6, 0.7), 1), Curve("fold 1", (1.0, 0.6), (1.2, 0.7), 1)),
        scores=rng.gamma(4.0, 0.5, windows),
        sensor_errors=rng.normal(size=(windows, sensors)).astype(np.float32),
        examples=(Example("pump-2", times, observed, observed * np.float32(1.01), 2.5),),
        notes=("valve is constant and was left out",),
    )


class _Page(HTMLParser):
    """Collects what a browser would fetch and what images say."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.spoken: list[str] = []
        self.words = ""
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "iframe"}
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        self.spoken += [value or "" for name, value in attrs if name == "alt"]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_stands_alone() -> None:
    """No browser has to fetch anything: it is read beside a bundle, often without a network."""
    page = write_report(make_fitted())
    seen = _Page(page)
    assert len(seen.addresses) == 3 + 4
    assert all(address.startswith("data:image/svg+xml;base64,") for address in seen.addresses)
    assert not re.search(rb"url\(|@import|https?://", page)


def test_every_picture_has_words() -> None:
    """Those who cannot see a picture are told what it says."""
    spoken = _Page(write_report(make_fitted())).spoken
    assert len(spoken) == 7
    assert all(spoken)
    assert any("epoch 2 was kept" in text for text in spoken)


def test_the_main_facts_are_in_words() -> None:
    """Threshold, history, notes and figures can be read without the manifest."""
    words = _Page(write_report(make_fitted())).words
    for fact in (
        "4.25",
        "12,345 rows of 2 assets",
        "percentile 99",
        "valve is constant",
        "0.0123",
        "alarms they would have raised in 3.5 weeks: 3",
        "sensor-3",
        "10 rows",
    ):
        assert fact in words, fact


def test_text_from_data_cannot_become_markup() -> None:
    """Sensor and asset names come from a feed that others write."""
    fitted = make_fitted()
    sensors = (Sensor(name="<script>alert(1)</script>"), *fitted.manifest.sensors[1:])
    fitted = dataclasses.replace(fitted, manifest=fitted.manifest.model_copy(update={"sensors": sensors}))
    assert b"<script" not in write_report(fitted)


@pytest.mark.parametrize("sensors", [1, SENSORS_SHOWN + 30])
def test_one_sensor_and_very_many_give_a_page(sensors: int) -> None:
    """A wide feed does not give a page of hundreds of pictures."""
    assert len(_Page(write_report(make_fitted(sensors))).addresses) == 3 + min(sensors, SENSORS_SHOWN)


def test_a_model_without_examples_curves_or_scores_still_gives_a_page() -> None:
    """A report never stops a training."""
    fitted = dataclasses.replace(make_fitted(windows=0), examples=(), curves=(), notes=())
    assert len(_Page(write_report(fitted)).addresses) == 1


def test_missing_and_constant_values_are_drawn_without_a_warning() -> None:
    """Gaps are usual in real data (warnings are errors in this suite)."""
    fitted = make_fitted()
    observed = fitted.examples[0].observed.copy()
    observed[:, 0], observed[3:6, 1], observed[:, 2] = np.nan, np.nan, 7.0
    example = dataclasses.replace(fitted.examples[0], observed=observed)
    assert write_report(dataclasses.replace(fitted, examples=(example,)))


def test_a_window_of_one_row_is_a_table() -> None:
    """One point is no line: the plain tabular autoencoder's report shows numbers."""
    fitted = make_fitted()
    old = fitted.examples[0]
    example = dataclasses.replace(
        old, times=old.times[-1:], observed=old.observed[-1:], reconstruction=old.reconstruction[-1:]
    )
    page = _Page(write_report(dataclasses.replace(fitted, examples=(example,))))
    assert len(page.addresses) == 3
    assert f"{example.observed[0, 2]:.5g}" in page.words


def test_the_same_model_gives_the_same_bytes() -> None:
    """A report can be compared and cached."""
    assert write_report(make_fitted()) == write_report(make_fitted())
