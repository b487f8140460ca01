"""Held-out windows share no row with fitted ones, whatever the history's gaps, assets, window and stride."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.core.windows import WindowShape
from trainer.data.history import AssetHistory, History
from trainer.replay import splits
from trainer.replay.windows import Replay, replay

SHAPES = {
    "rows": st.lists(st.integers(1, 60), min_size=1, max_size=3),
    "window": st.integers(1, 8),
    "stride": st.integers(1, 3),
    "seed": st.integers(0, 1000),
}


def replayed(rows: list[int], window: int, stride: int, seed: int) -> Replay | None:
    """A replay with some gaps; None where no window is full."""
    rng = np.random.default_rng(seed)
    assets = [
        AssetHistory(f"a{n}", np.cumsum(np.where(rng.random(count) < 0.05, 50.0, 1.0)), np.ones((count, 2), np.float32))
        for n, count in enumerate(rows)
    ]
    shape = WindowShape(window, 2, stride, 10.0, 0.5)
    if max(rows) < window + 25:  # a gap may leave nothing
        return None
    return replay(History(("x", "y"), tuple(assets), "synthetic"), shape)


def rows_of(whole: Replay, chosen: np.ndarray) -> set[int]:
    """All rows that the chosen windows hold."""
    return {int(row) - back for row in whole.rows[chosen] for back in range(whole.window)}


@given(**SHAPES, count=st.integers(2, 5))
@settings(deadline=None, max_examples=60)
def test_blocks_share_no_row_with_what_is_fitted(
    rows: list[int], window: int, stride: int, seed: int, count: int
) -> None:
    """No row of a held-out block is in a window of its rest; every window is held out exactly once."""
    whole = replayed(rows, window, stride, seed)
    if whole is None:
        return
    parts = splits.blocked(whole, count)
    for part in parts:
        assert not rows_of(whole, part.held) & rows_of(whole, part.rest)
    held = np.sort(np.concatenate([part.held for part in parts]))
    np.testing.assert_array_equal(held, np.arange(len(whole)))


@given(**SHAPES, share=st.floats(0.05, 0.8))
@settings(deadline=None, max_examples=60)
def test_a_short_history_is_validated_on_its_last_part(
    rows: list[int], window: int, stride: int, seed: int, share: float
) -> None:
    """The validation part lies after what is fitted, asset by asset, and shares no row with it."""
    whole = replayed(rows, window, stride, seed)
    if whole is None:
        return
    part = splits.validation(whole, np.arange(len(whole)), share)
    assert not rows_of(whole, part.held) & rows_of(whole, part.rest)
    for slot in np.unique(whole.slots):
        fitted = whole.rows[part.rest[whole.slots[part.rest] == slot]]
        held = whole.rows[part.held[whole.slots[part.held] == slot]]
        assert len(held)
        assert not len(fitted) or fitted.max() < held.min()


def test_a_long_history_is_validated_on_parts_of_all_of_it() -> None:
    """A new season at its end is fitted as well as judged by; no row is on both sides."""
    whole = replayed([4000], 3, 1, 0)
    assert whole is not None
    part = splits.validation(whole, np.arange(len(whole)), 0.2)
    assert not rows_of(whole, part.held) & rows_of(whole, part.rest)
    quarter = len(whole) // splits.MAX_CHUNKS
    for begin in range(0, quarter * splits.MAX_CHUNKS, quarter):
        for chosen, least in ((part.held, 0.15), (part.rest, 0.7)):
            assert np.count_nonzero((chosen >= begin) & (chosen < begin + quarter)) > least * quarter


def test_thinning_keeps_the_ends() -> None:
    """A thinned choice spans the same time."""
    chosen = splits.thinned(np.arange(1000), 10)
    assert len(chosen) == 10
    assert (chosen[0], chosen[-1]) == (0, 999)
    np.testing.assert_array_equal(splits.thinned(np.arange(5), 10), np.arange(5))
