"""A history is thinned while it is read: bounded, even, in blocks; and untouched where it is within the bound."""

import json

import numpy as np
import pytest

from detector.core.windows import WindowShape
from schemas.config import Feed
from tests.support.plant import FakeRecord
from trainer.data.history import History, from_columns, from_owners
from trainer.data.records import Gatherer
from trainer.data.thinning import BLOCK_WINDOWS, Bound
from trainer.replay.windows import replay

START = 1_700_000_000
WIDE = Feed()
LONG = Feed.model_validate({"form": "long", "sensor": "sensor", "value": "value"})
MEGABYTE = 1_000_000


def wide(asset: str, second: float, value: float) -> bytes:
    return json.dumps({"asset": asset, "timestamp": START + second, "a": value, "b": -value}).encode()


def long(asset: str, second: float, sensor: str, value: float) -> bytes:
    return json.dumps({"asset": asset, "timestamp": START + second, "sensor": sensor, "value": value}).encode()


def gathered(lines: list[bytes], bound: Bound | None, feed: Feed = WIDE, period_s: float | None = None) -> History:
    gatherer = Gatherer("made", feed, ["a", "b"], period_s, bound=bound)
    for begin in range(0, len(lines), 2000):
        gatherer.add([FakeRecord(begin + i, value) for i, value in enumerate(lines[begin : begin + 2000])])
    return gatherer.history()


def busy_and_small() -> list[bytes]:
    """20,000 rows of one asset and 500 each of two others, over the same time."""
    lines = [(second, wide("busy", second, second % 7)) for second in range(20_000)]
    for number in range(2):
        lines += [(second, wide(f"small-{number}", second, 1.0)) for second in range(0, 20_000, 40)]
    return [line for _, line in sorted(lines)]


@pytest.mark.parametrize(("feed", "period_s"), [(WIDE, None), (LONG, 1.0)])
def test_a_history_within_the_bound_is_the_same_bit_by_bit(feed: Feed, period_s: float | None) -> None:
    """With a bound that nothing reaches and without one: one fingerprint, and no note."""
    make = wide if feed is WIDE else lambda asset, second, value: long(asset, second, "ab"[second % 2], value)
    lines = [make(f"p{second % 3}", second, second / 7) for second in range(4000)]
    whole, bounded = (gathered(lines, bound, feed, period_s) for bound in (None, Bound(MEGABYTE, 5, None)))
    assert whole.fingerprint() == bounded.fingerprint()
    assert bounded.notes == whole.notes


def test_the_busiest_asset_is_thinned_first_and_evenly_in_time() -> None:
    """A bound of 200 KB: small assets stay whole, the busy one keeps blocks from every part of the span."""
    history = gathered(busy_and_small(), Bound(200_000, 5, None))
    assets = {asset.name: asset for asset in history.assets}
    assert len(assets["small-0"].times) == len(assets["small-1"].times) == 500
    busy = assets["busy"].times - START
    assert 2000 < len(busy) < 10_000
    assert history.rows * 24 <= 200_000
    counts = np.histogram(busy, 10, (0, 20_000))[0]
    assert counts.min() > 0.7 * counts.mean()
    assert any("left out evenly" in note for note in history.notes)


def test_what_is_left_is_blocks_of_full_windows() -> None:
    """Nine in ten of the rows that are kept end a full window: single rows are never taken out."""
    history = gathered(busy_and_small(), Bound(200_000, 5, 1.0))
    only = from_columns("x", history.sensors, ["busy"] * len(history.assets[0].times), history.assets[0].times,
                        history.assets[0].values)  # fmt: skip
    windows = len(replay(only, WindowShape(5, 2, 1, 3.0, 0.5)))
    assert windows >= only.rows * (BLOCK_WINDOWS - 1) / BLOCK_WINDOWS * 0.95


def test_rows_of_long_form_are_kept_or_left_out_whole() -> None:
    """Values lie about the grid of the period; no row is cut in two by the thinning."""
    jitter = np.random.default_rng(1).uniform(-0.3, 0.3, 20_000)
    lines = [long("p", second + jitter[second], sensor, 1.0) for second in range(20_000) for sensor in "ab"]
    history = gathered(lines, Bound(200_000, 5, 1.0), LONG, 1.0)
    assert 1000 < history.rows < 10_000
    assert not np.isnan(history.assets[0].values).any()


def test_numbers_and_names_give_the_same_history() -> None:
    """Assets come out in order of their names, whichever came first."""
    times, values = np.arange(6.0), np.arange(6, dtype=np.float32)[:, None]
    by_name = from_columns("x", ["a"], ["q", "p", "q", "p", "é", "q"], times, values)
    by_number = from_owners("x", ["a"], ["q", "p", "é"], np.array([0, 1, 0, 1, 2, 0]), times, values)
    assert by_name.fingerprint() == by_number.fingerprint()
    assert [asset.name for asset in by_number.assets] == ["p", "q", "é"]
