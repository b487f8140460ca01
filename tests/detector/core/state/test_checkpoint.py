"""Checkpoints are read back as they were written, or refused with a reason; never misread."""

import base64
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.arrays import Ints
from detector.core.arrivals import Arrivals
from detector.core.component import Columns
from detector.core.pipeline import ModelPipeline
from detector.core.state import checkpoint
from detector.core.state.codec import (
    MARKER,
    READABLE,
    Marker,
    Owner,
    bucket_key,
    bucket_of,
    decode_bucket,
    decode_marker,
    encode,
)
from schemas.alert import AlertState
from schemas.config import Feed, Limits
from tests.support.plant import (
    START_S,
    FakeRecord,
    FakeScorer,
    feed,
    manifest,
    plant,
    replay,
    settings,
    watch,
    wide,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "state"


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
            assert decode(data).version in READABLE
        except ValueError as error:
            assert "checkpoint" in str(error)  # noqa: PT017 either outcome is allowed, a third is not


def test_every_component_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component that is added to a pipeline is asked to load, where what it depends on is as it was."""

    class Added(Arrivals):
        def load(self, slots: Ints, columns: Columns) -> None:
            loaded.append(len(slots))

    class OfItsVersion(Added):
        depends_on = ("model_version",)

    known, loaded = ModelPipeline.components, list[int]()
    over = watch()
    replay(over, feed(plant())[:20], 20)
    written = dict(checkpoint.snapshot(over, 0, 20))
    monkeypatch.setattr(ModelPipeline, "components", lambda pipeline: [*known(pipeline), Added(), OfItsVersion()])
    for version, usable in (("v1", [3, 3]), ("v2", [3, 0])):
        loaded.clear()
        checkpoint.restore(watch(facts=manifest(version=version)), 0, written, 0.0)
        assert loaded == usable


def test_only_what_changed_is_written() -> None:
    """A checkpoint after one asset's record holds that asset's bucket and the marker."""
    over = watch()
    records = feed(plant(assets=3))
    replay(over, records[:30], 30)
    assert len(checkpoint.snapshot(over, 0, 30)) == 4
    replay(over, records[30:31], 1)
    written = checkpoint.snapshot(over, 0, 31)
    assert len(written) == 2
    assert written[-1][0] == MARKER
    assert decode_marker(written[-1][1]).next_offset == 31


def test_an_incident_outlives_a_change_of_model_while_the_daemon_was_down() -> None:
    """Windows of another form begin anew, but nobody forgets an open incident."""
    over = watch()
    replay(over, feed(plant())[:240], 40)
    assert over.pipelines["m"].process_alarms.incidents
    other = watch(facts=manifest(version="v2", window=6))
    checkpoint.restore(other, 0, dict(checkpoint.snapshot(over, 0, 240)), 0.0)
    old, new = (next(iter(w.pipelines["m"].process_alarms.incidents.values())) for w in (over, other))
    assert (old.id, old.phase, old.evidence) == (new.id, new.phase, new.evidence)
    assert isinstance(other.pipelines["m"].scorer, FakeScorer)


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
    assert checkpoint.restore(fresh, 0, dict(checkpoint.snapshot(over, 0, 31)), 0.0) == 31
    replay(fresh, records[31:], 5, story)
    assert story.scores == whole.scores
    assert np.isfinite([score for score, _ in story.scores.values() if score is not None]).all()


def test_a_marker_survives_its_round_trip() -> None:
    """Every field comes back."""
    marker = Marker(1, 3, 99, {"m": 5.0}, [("a", 7, 8, {0: 1.5})], 12.0)
    assert decode_marker(encode(marker)) == marker


def test_a_checkpoint_of_version_1_goes_on_as_if_nothing_had_happened() -> None:
    """Written before buckets knew their offsets, 90 rows into a feed: the rest gives what an unbroken watch gives."""
    entries = {
        key.encode(): base64.b64decode(value) for key, value in json.loads((GOLDEN / "v1.json").read_text()).items()
    }
    records = feed(plant(rows=240))
    values = plant(rows=90)  # other random numbers than the first 90 rows of 240: this very feed was written down
    begun = feed(values)
    whole, over = watch(), watch()
    replay(whole, begun, 50)
    assert checkpoint.restore(over, 0, entries, 0.0) == len(begun)
    rest = [
        FakeRecord(record.offset + len(begun), (record.value or b"").replace(b"17000000", b"17000010"))
        for record in records[:90]
    ]
    assert replay(over, rest, 7) == replay(whole, rest, 7)


def test_a_checkpoint_says_whose_it_is() -> None:
    """Group, input and the topic's id come back from a written-down marker; a marker of before says nothing."""
    golden = {
        name: {key.encode(): base64.b64decode(value) for key, value in json.loads((GOLDEN / name).read_text()).items()}
        for name in ("v1.json", "v2.owner.json")
    }
    written = golden["v2.owner.json"]
    owner = Owner("plant", "sensors", "4e2b8a52-64a5-4a9b-b6ad-9d3a4c3f2a10")
    assert checkpoint.owner_of(written) == owner
    assert checkpoint.owner_of(golden["v1.json"]) == Owner()
    assert checkpoint.owner_of({}) is None
    assert checkpoint.restore(watch(), 0, written, 0.0) == 30
    over = watch()
    replay(over, feed(plant(assets=3))[:30], 30)
    assert dict(checkpoint.snapshot(over, 0, 30, owner)).keys() == written.keys()


def test_a_bucket_that_a_lost_member_wrote_takes_the_start_back_to_it() -> None:
    """Taken for dead, it wrote after its successor: what the successor knew of that bucket is read again."""
    records = feed(plant(assets=3))
    over = watch()
    story = replay(over, records[:150], 10)
    zombie = dict(checkpoint.snapshot(over, 0, 150))
    replay(over, records[150:300], 10, story)
    entries = zombie | dict(checkpoint.snapshot(over, 0, 300))
    key = bucket_key(bucket_of("a1"))
    entries[key] = zombie[key]
    successor = watch()
    assert checkpoint.restore(successor, 0, entries, 0.0) == 150
    replay(successor, records[150:], 10, story)
    whole = replay(watch(), records, 10)
    assert (story.scores, story.alerts) == (whole.scores, whole.alerts)


def test_an_asset_that_went_away_is_forgotten_for_good() -> None:
    """Its data-quality alarm closes, its memory is free, and a replay of old records does not bring it back."""
    config = settings(limits=Limits(idle_s=100.0))
    over = watch(config)
    values = plant(rows=300, assets=2)
    records = [wide(0, "gone", START_S, [0.0, 0.0, 0.0])]
    records += [wide(t + 1, "a0", START_S + t, values[t, 0]) for t in range(300)]
    story = replay(over, records, 10)
    states = [alert.data.state for alert in story.alerts.values() if alert.subject == "gone"]
    assert states == [AlertState.OPENED, AlertState.CLOSED]
    assert list(over.pipelines["m"].assets.index) == [(0, "a0")]
    again = watch(config)
    entries = dict(checkpoint.snapshot(over, 0, len(records)))
    assert decode_bucket(entries[bucket_key(bucket_of("gone"))]).assets == []
    checkpoint.restore(again, 0, entries, 0.0)
    assert replay(again, records[:5], 5).scores == {}


def test_an_open_process_alarm_keeps_its_asset() -> None:
    """Silence never closes a process alarm, however long it lasts."""
    over = watch(settings(limits=Limits(idle_s=100.0)))
    normal = plant(rows=300)[:, 1]
    records = [wide(t, "a", START_S + t, 9.0 + normal[t]) for t in range(20)]
    records += [wide(20 + t, "b", START_S + 20 + t, normal[t]) for t in range(300)]
    replay(over, records, 10)
    pipeline = over.pipelines["m"]
    assert pipeline.process_alarms.incidents[pipeline.assets.index[0, "a"]].is_open


def test_the_cooldown_of_a_retrain_request_survives() -> None:
    """The marker has it: a restart does not ask a second time within it."""
    values = np.random.default_rng(5).normal(size=(600, 3, 3))
    values[200:, :, 0] += 2.0
    records = feed(values)
    over = watch()
    assert len(replay(over, records[:1200], 100).requests) == 1
    again = watch()
    checkpoint.restore(again, 0, dict(checkpoint.snapshot(over, 0, 1200)), 0.0)
    assert not replay(again, records[1200:], 100).requests


def _long_feed() -> list[FakeRecord]:
    """Two assets, whose third sensor comes with the next second: rows wait at any moment."""
    rows = [(t, asset, s) for t in range(40) for asset in ("a0", "a1") for s in range(3)]
    values = [round((t * 7 + s * 3 + (asset == "a1")) % 11 / 5 - 1, 4) for t, asset, s in rows]
    bodies = [
        {"asset": asset, "timestamp": 1_700_000_000 + t + (0 if s < 2 else 0.4), "sensor": f"s{s}", "value": value}
        for (t, asset, s), value in zip(rows, values, strict=True)
    ]
    return [FakeRecord(offset, json.dumps(body).encode()) for offset, body in enumerate(bodies)]


@pytest.mark.parametrize("file", ["v2-long.json", "v2-waiting.json"])
def test_rows_that_wait_in_an_earlier_checkpoint_are_taken_up(file: str) -> None:
    """In the marker under one watermark, as they were first, or with their asset: the feed goes on without a loss."""
    entries = {key.encode(): base64.b64decode(value) for key, value in json.loads((GOLDEN / file).read_text()).items()}
    config, records = settings(feed=Feed(form="long", lateness_s=5.0)), _long_feed()
    whole, over = watch(config), watch(config)
    replay(whole, records[:153], 10)
    assert checkpoint.restore(over, 0, entries, 0.0) == 153
    rest = replay(over, records[153:], 7)
    unbroken = replay(whole, records[153:], 7)
    assert rest.scores.items() <= unbroken.scores.items()
    # Under one watermark a row of a1 was complete already, and is in that checkpoint.
    assert len(unbroken.scores) - len(rest.scores) == (file == "v2-long.json")
    assert rest.alerts == unbroken.alerts
