"""A model store that the integration tests share."""

from pathlib import Path

import pytest

from detector.bundles.store import Store
from tests.support.tiny_bundle import tiny


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which version v1 of `pump` (the tiny bundle) is in use."""
    place = tmp_path / "models"
    models = Store(str(place))
    tiny("v1", model="pump").publish(models)
    models.promote("pump", "v1")
    return place
