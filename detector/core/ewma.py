"""The exponentially weighted moving average along each asset's rows, all assets in step."""

import numpy as np

from detector.core.arrays import Bools, Doubles, Ints, first_of_runs, last_of_runs


def ewma(
    memory: Doubles, slots: Ints, inputs: Doubles, reset_before: Bools, alpha: float | Doubles, start: float
) -> Doubles:
    """Runs x <- x + alpha * (input - x) along each slot's rows, all slots in step; updates `memory` in place.

    alpha: one for all, or one a column.

    memory: (slot, column); slots: (row,) sorted; inputs: (row, column); gives (row, column).
    A memory of NaN takes its first input; `start` is what a row with `reset_before` begins from. Step by step and
    not by a filter over blocks: the result must not depend on how rows fell into polls. Inputs are finite.

    >>> memory = np.zeros((1, 1))
    >>> none = np.zeros(3, bool)
    >>> ewma(memory, np.zeros(3, np.int64), np.array([[8.0], [8.0], [8.0]]), none, 0.5, start=0.0).ravel().tolist()
    [4.0, 6.0, 7.0]
    >>> memory.tolist()
    [[7.0]]
    """
    if not len(slots):
        return np.empty_like(inputs)
    first = first_of_runs(slots)
    begins = np.flatnonzero(first | reset_before)  # after a reset a row depends on nothing before it
    length = np.diff(np.r_[begins, len(slots)])
    rank = np.empty(len(begins), np.int64)
    rank[np.argsort(-length, kind="stable")] = np.arange(len(begins))
    step = np.arange(len(slots)) - np.repeat(begins, length)
    # Step by step, longest segment first: each step is then one block, and its predecessors the beginning of the last.
    order = np.lexsort((np.repeat(rank, length), step))
    blocks = inputs[order]
    ends = np.cumsum(np.bincount(step)).tolist()
    heads = order[: ends[0]]
    before = np.where(reset_before[heads, None], start, memory[slots[heads]])
    _blend(blocks[: ends[0]], np.where(np.isnan(before), blocks[: ends[0]], before), alpha)
    begin, past = 0, ends[0]
    for end in ends[1:]:
        if end - past == 1:
            break
        _blend(blocks[past:end], blocks[begin : begin + end - past], alpha)
        begin, past = past, end
    _follow(blocks[past:], blocks[begin], alpha)
    out = np.empty_like(inputs)
    out[order] = blocks
    lasts = last_of_runs(first)
    memory[slots[lasts]] = out[lasts]
    return out


def _blend(block: Doubles, before: Doubles, alpha: float | Doubles) -> None:
    """Replaces inputs by `before + alpha * (input - before)`, without a temporary: it is called for every step."""
    block -= before
    block *= alpha
    block += before


def _follow(rows: Doubles, before: Doubles, alpha: float | Doubles) -> None:
    """The same for what is left of the longest segment: plain floats are faster than arrays of one row."""
    alphas = np.broadcast_to(alpha, before.shape).tolist()
    for column, share in enumerate(alphas):
        now = float(before[column])
        inputs = rows[:, column].tolist()
        for row, given in enumerate(inputs):
            now += (given - now) * share
            inputs[row] = now
        rows[:, column] = inputs
