"""What holds for every component of a pipeline: it grows, forgets, dumps and loads without losing an asset's memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detector.core.alarms.process import ProcessAlarms
from detector.core.alarms.quality import QualityAlarms
from detector.core.arrivals import Arrivals
from detector.core.component import Component
from detector.core.drift import DriftWatch
from detector.core.pipeline import ModelPipeline
from detector.core.quality import QualityMonitor
from detector.core.scoring import ScoreSmoother
from detector.core.windows import Windows
from tests.support.plant import feed, plant, replay, watch

Pick = Callable[[ModelPipeline], Component]
PICKS: dict[str, Pick] = {
    "arrivals": lambda pipeline: pipeline.arrivals,
    "windows": lambda pipeline: pipeline.windows,
    "smoother": lambda pipeline: pipeline.smoother,
    "quality": lambda pipeline: pipeline.quality,
    "process": lambda pipeline: pipeline.process_alarms,
    "incidents of quality": lambda pipeline: pipeline.quality_alarms,
    "drift": lambda pipeline: pipeline.drift or pytest.fail("the fake model has a drift reference"),
}
ALL = np.arange(3)


def _used() -> ModelPipeline:
    """A pipeline of three assets in the middle of a process alarm and of a stuck sensor."""
    over, values = watch(), plant(rows=136)
    values[120:, 2, 1] += 12.0
    replay(over, feed(values), 50)
    return over.pipelines["m"]


def _plain(columns: Any) -> dict[str, list[str]]:
    """Columns in a form that can be compared: NaN equals NaN."""
    return {name: [repr(value) for value in values] for name, values in columns.items()}


@pytest.fixture(params=PICKS.values(), ids=list(PICKS))
def pick(request: pytest.FixtureRequest) -> Pick:
    """One component of a pipeline."""
    picked: Pick = request.param
    return picked


def test_every_component_of_a_pipeline_is_here() -> None:
    """A component that is added must keep these promises too."""
    kinds = {Arrivals, Windows, ScoreSmoother, QualityMonitor, ProcessAlarms, QualityAlarms, DriftWatch}
    assert {type(component) for component in _used().components()} == kinds
    assert {type(each(_used())) for each in PICKS.values()} == kinds


def test_what_is_loaded_is_what_was_dumped(pick: Pick) -> None:
    """In an empty pipeline, in other slots and after growing: the memory is the asset's, not the slot's."""
    used, empty = pick(_used()), pick(watch().pipelines["m"])
    dumped = used.dump(ALL)
    slots = np.array([70, 3, 0])
    empty.grow(128)
    empty.load(slots, dumped)
    assert _plain(empty.dump(slots)) == _plain(dumped)


def test_growing_loses_nothing(pick: Pick) -> None:
    """Memory is moved with its asset."""
    used = pick(_used())
    before = _plain(used.dump(ALL))
    used.grow(1000)
    assert _plain(used.dump(ALL)) == before


def test_a_slot_that_is_forgotten_is_as_new(pick: Pick) -> None:
    """Its next owner finds nothing of the last one, and its neighbours keep theirs."""
    used, empty = pick(_used()), pick(watch().pipelines["m"])
    neighbour = _plain(used.dump(ALL[1:2]))
    used.forget(np.array([0, 2]))
    assert _plain(used.dump(np.array([0, 2]))) == _plain(empty.dump(np.array([0, 2])))
    assert _plain(used.dump(ALL[1:2])) == neighbour


def test_something_is_remembered_of_an_asset(pick: Pick) -> None:
    """The other promises would hold for a component that forgets everything at once."""
    used, empty = _plain(pick(_used()).dump(ALL)), _plain(pick(watch().pipelines["m"]).dump(ALL))
    assert used != empty


def test_another_version_of_the_same_sensors_goes_on(pick: Pick) -> None:
    """What a version takes over is whole: all of it, or nothing where another model's numbers would be meant."""
    used, fresh = pick(_used()), pick(watch().pipelines["m"])
    fresh.adopt(used)
    taken, empty = _plain(fresh.dump(ALL)), _plain(pick(watch().pipelines["m"]).dump(ALL))
    begins_anew = isinstance(used, ScoreSmoother | DriftWatch)
    assert taken == (empty if begins_anew else _plain(used.dump(ALL)))
