"""Checkpoints are read back as they were written, or refused with a reason; never misread."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core import checkpoint
from detector.core.state import MARKER, Marker, decode_bucket, decode_marker, encode
from schemas.config import Feed
from tests.detector.core.plant import FakeRecord, FakeScorer, feed, manifest, plant, replay, settings, watch


def test_another_version_is_refused_by_name() -> None:
    """A checkpoint of the future is not guessed at."""
    data = msgspec.msgpack.encode({"version": 99, "partition": 0, "next_offset": 5})
    with pytest.raises(ValueError, match="version 99"):
        decode_marker(data)


@given(st.binary(max_size=60))
def test_rubbish_is_refused(data: bytes) -> None:
    """Any bytes are a checkpoint or a ValueError."""
    for decode in (decode_bucket, decode_marker):
        try:
            assert decode(data).version == 1
        except ValueError as error:
            assert "checkpoint" in str(error)  # noqa: PT017 either outcome is allowed, a third is not


def test_only_what_changed_is_written() -> None:
    """A checkpoint after one asset's record holds that asset's bucket and the marker."""
    over = watch()
    records = feed(plant(assets=3))
    replay(over, records[:30], 30)
    assert len(checkpoint.take(over, 0, 30)) == 4
    replay(over, records[30:31], 1)
    written = checkpoint.take(over, 0, 31)
    assert len(written) == 2
    assert written[-1][0] == MARKER
    assert decode_marker(written[-1][1]).next_offset == 31


def test_an_incident_outlives_a_change_of_model_while_the_daemon_was_down() -> None:
    """Windows of another form begin anew, but nobody forgets an open incident."""
    over = watch()
    replay(over, feed(plant())[:240], 40)
    assert over.lanes["m"].incidents
    other = watch(facts=manifest(version="v2", window=6))
    checkpoint.put_back(other, 0, dict(checkpoint.take(over, 0, 240)), 0.0)
    old, new = (next(iter(w.lanes["m"].incidents.values())) for w in (over, other))
    assert (old.id, old.phase, old.evidence) == (new.id, new.phase, new.evidence)
    assert isinstance(other.lanes["m"].scorer, FakeScorer)


def test_rows_that_wait_for_sensors_survive() -> None:
    """Long records: a half-assembled row is in the checkpoint, and is completed after a restart."""
    config = settings(feed=Feed(form="long", lateness_s=2.0))
    lines = [
        b'{"asset": "a", "timestamp": %d, "sensor": "s%d", "value": %d}' % (1_700_000_000 + t, s, t)
        for t in range(20)
        for s in range(3)
    ]
    records = [FakeRecord(i, line) for i, line in enumerate(lines)]
    whole = replay(watch(config), records, 60)
    over = watch(config)
    story = replay(over, records[:31], 5)
    fresh = watch(config)
    assert checkpoint.put_back(fresh, 0, dict(checkpoint.take(over, 0, 31)), 0.0) == 31
    replay(fresh, records[31:], 5, story)
    assert story.scores == whole.scores
    assert np.isfinite([score for score, _ in story.scores.values() if score is not None]).all()


def test_a_marker_survives_its_round_trip() -> None:
    """Every field comes back."""
    marker = Marker(1, 3, 99, {"m": 5.0}, [("a", 7, 8, {0: 1.5})], 12.0)
    assert decode_marker(encode(marker)) == marker
