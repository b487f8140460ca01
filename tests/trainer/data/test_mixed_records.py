"""A history from a topic that holds more than the model is of: other assets, other sensors, bad cells."""

import json
from typing import Any

import numpy as np
import pytest

from detector.core.ingest.decode import Decoder
from detector.errors import DataError
from schemas.config import Feed
from tests.support.plant import FakeRecord
from trainer.data.records import Gatherer

T = 1_760_000_000


def records(bodies: list[dict[str, Any]], *, keyed: bool = False) -> list[FakeRecord]:
    key = (lambda body: str(body["asset"]).encode()) if keyed else (lambda _: None)
    return [FakeRecord(n, json.dumps(body).encode(), key=key(body)) for n, body in enumerate(bodies)]


def of_pump(asset: str) -> bool:
    return asset == "pump"


@pytest.mark.parametrize("keyed", [False, True])
def test_one_of_twenty_machines_in_wide_records(keyed: bool) -> None:
    """Others' records are passed over, be they readable or not, and their fields are no sensors of the model."""
    bodies: list[dict[str, Any]] = []
    for second in range(50):
        bodies += [{"asset": f"press-{n}", "timestamp": "noon", "flow": "RUN", "force": 1.0} for n in range(18)]
        bodies.append({"asset": "fan", "timestamp": T + second, "flow": 9.0, "force": 2.0})
        bodies.append({"asset": "pump", "timestamp": T + second, "flow": float(second)})
    gatherer = Gatherer("topic x", Feed(asset="@key" if keyed else "asset"), None, None, watched=of_pump)
    everything = records(bodies, keyed=keyed)
    for begin in range(0, 1000, 19):  # the first chunk has nothing of the pump
        gatherer.add(everything[begin : begin + 19])
    history = gatherer.history()
    assert (history.sensors, [asset.name for asset in history.assets], history.notes) == (("flow",), ["pump"], ())
    assert history.rows == 50


def test_two_of_forty_tags_in_long_records() -> None:
    """The other tags' values are texts and objects: they are none of the model's, and none counts as bad."""
    bodies = [
        {"asset": "pump", "timestamp": T + n // 40, "sensor": f"t{n % 40}", "value": 1.0 * n if n % 40 < 2 else "RUN"}
        for n in range(4000)
    ]
    bodies += [{"asset": "pump", "timestamp": "noon", "sensor": "t9", "value": 1} for _ in range(4000)]
    gatherer = Gatherer("topic x", Feed(form="long"), ("t0", "t1"), 1.0, watched=of_pump)
    gatherer.add(records(bodies))
    history = gatherer.history()
    assert (history.sensors, history.rows, history.notes) == (("t0", "t1"), 100, ())


def test_bad_cells_are_the_same_as_live_and_are_noted() -> None:
    """A text, a NaN and a number as text in the history: one cell each, and a note names the sensor."""
    cells = [1.0, "Bad", 3.0, float("nan"), "5.0", True, 7.0]
    bodies = [{"asset": "pump", "timestamp": T + n, "flow": cell, "heat": 1.0} for n, cell in enumerate(cells)]
    gatherer = Gatherer("topic x", Feed(), None, None)
    gatherer.add(records(bodies))
    history = gatherer.history()
    live, _ = Decoder(Feed(), ("flow", "heat")).decode(records(bodies))
    np.testing.assert_array_equal(history.assets[0].values, live.cells.astype(np.float32))
    assert sorted(note for note in history.notes if "flow" in note) == [
        f"1 cells of flow were no plain numbers ({why})" for why in ("boolean", "not_finite", "number_as_text", "text")
    ]


def test_a_topic_without_the_models_assets_is_refused_by_name() -> None:
    """Nothing to learn from is said as that."""
    gatherer = Gatherer("topic x", Feed(), None, None, watched=of_pump)
    gatherer.add(records([{"asset": "fan", "timestamp": T, "flow": 1.0}]))
    with pytest.raises(DataError, match="topic x has no record of an asset that a rule gives to the model"):
        gatherer.history()
